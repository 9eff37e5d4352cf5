"""DT509: a cumulative sum whose kernel, or whose result in torch, has a dtype that the ops around it reject."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.early_dtypes import (
    INT64,
    EarlyDtypes,
    early_dtype,
    early_dtypes,
    is_torn_choice,
    operands_of,
    producer_name,
    rescaled_in_front,
    seen_by_products,
    seen_by_sums,
    torn_product,
)
from fuseguard.backend.releases import PRODUCTS_AFTER_RESCALES
from fuseguard.engine import (
    Effect,
    EffectRow,
    EffectsTable,
    Finding,
    Rewrite,
    Rule,
)
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.dtype.dt509")

_KIND = "cumsum"

_KERNEL = "DecomposeCumsumPass gives the kernel the dtype of what it reads; DEPTHWISE_CONV2D takes int8 weights"
_SELECT = "MatchArgDtypePass and DecomposeWhereScalarOtherPass: SELECT gets branches of two dtypes"
_PRODUCT = "bmm wants one dtype and gets int64 and int8"


class CumulativeSumDtype(Rule):
    code = "DT509"
    name = "cumulative-sum-dtype-mismatch"
    summary = (
        "A cumulative sum reads int16 codes, a lookup table, a constant that the program makes or another cumulative "
        "sum, or meets int8 codes in one op."
    )
    why = (
        "DecomposeCumsumPass turns a cumulative sum into a depthwise convolution with a kernel of ones, and gives the "
        "kernel the dtype that its input has at that time. TOSA takes only int8 weights. int16 codes make an int16 "
        "kernel. Codes from sigmoid, tanh, exp and the like count as float32 until InsertTableOpsPass, and make a "
        "float kernel. From 1.3 on, so do codes of ones, zeros, full, arange and the like, which "
        "ComputeConstantOpsAOTPass computes later. In torch, a cumulative sum of integers is int64, so a second one "
        "after it gets an int64 kernel. A view, a clamp, a pool or a convolution between them does not change this. "
        "For the same reason, a where whose first branch is such a sum (or may be one) cannot take int8 codes as its "
        "second. Before 1.4, a matrix product cannot multiply the two either."
    )
    remedy = (
        "Let fuseguard keep the op on the CPU (guard), or repair the program: maximum(x, x) before the op changes no "
        "value and is integer arithmetic, which ends the effect. For int16, there is no such repair: quantize the "
        "input of the sum to int8."
    )
    scope = "cluster"
    message = "{op} {fault}"
    effects = EffectsTable(
        [
            EffectRow("int16", "*", "*", Effect.CRASH, reference=_KERNEL),
            EffectRow("kernel", "*", "*", Effect.CRASH, reference=_KERNEL),
            EffectRow("where", "*", "*", Effect.CRASH, reference=_SELECT),
            EffectRow("product", "<1.4", "*", Effect.CRASH, reference=_PRODUCT),
            EffectRow("product", ">=1.4", "*", Effect.EXACT, reference="not announced there"),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("found by this project's differential tests",)

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if not any(node.annotated for node in view.of_kind(_KIND)):
            return
        dtypes = early_dtypes(view, target)
        for node in view.ops:
            case, fault = _asks(view, node, dtypes, target) if node.annotated else ("", "")
            if case:
                yield self.finding(view, target, (node,), case=case, op=node.name, fault=fault)

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Insert integer arithmetic that changes no value before the op."""
        node, dtypes = view.graph[finding.nodes[0]], early_dtypes(view, target)
        if node.kind == "matmul" and not PRODUCTS_AFTER_RESCALES.in_force(target):
            return None  # the arithmetic is converted to integers only after the product has failed
        if _sums_int16(view, node):
            return None
        return rescaled_in_front(view, node, seen_by_sums(view, target) if node.kind == _KIND else dtypes.before)


def _sums_int16(view: View, node: Node) -> bool:
    qparams = view.in_qp(node, 0)
    return node.kind == _KIND and qparams is not None and qparams.dtype == "int16"


def _asks(view: View, node: Node, dtypes: EarlyDtypes, target: Target) -> tuple[str, str]:
    """The row of the effects table and the fault in words; "" if the op gets one dtype that it supports."""
    data = operands_of(view, node)
    if not data:
        return "", ""
    if node.kind == _KIND:
        if view.in_qp(node, 0) is None:
            return "", ""
        if _sums_int16(view, node):
            return "int16", "sums int16 codes; its kernel would be int16, but TOSA's convolutions take int8 weights"
        source = producer_name(view, data[0])
        early = seen_by_sums(view, target)
        if source not in early:
            return "", ""
        dtype = early[source].dtype
        return "kernel", f"sums the codes of {source}, which count as {dtype} until later, and so does its kernel"
    if node.kind == "where":
        asked = dtypes.before
        case = "where" if is_torn_choice(view, node, asked) and early_dtype(view, data[0], asked) == INT64 else ""
    else:
        stages = seen_by_products(view, target)
        torn = (stage for stage in stages if torn_product(view, node, stage) == INT64)
        case = "product" if (asked := next(torn, {})) else ""
    if not case:
        return "", ""
    seen = [early_dtype(view, item, asked) for item in data[:2]]
    return case, f"gets {' and '.join(seen)}, the dtypes that torch gives to codes after a cumulative sum"
