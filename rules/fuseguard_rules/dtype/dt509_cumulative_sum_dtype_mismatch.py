"""DT509: a cumulative sum whose kernel, or result as torch has it, is of a dtype that the ops around it refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

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
    torn_product,
)
from fuseguard.backend.quantized_values import full_int16
from fuseguard.engine import (
    Effect,
    EffectRow,
    EffectsTable,
    Example,
    Finding,
    Rewrite,
    Rule,
)
from fuseguard.ir import Graph, Node, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target

if TYPE_CHECKING:
    import torch

_KIND = "cumsum"
_SHAPE = (1, 4, 8, 8)
_CUMSUM = "aten.cumsum.default"
_IN, _OUT = int8(0.0487, 3), int8(0.0713, 2)

_KERNEL = "DecomposeCumsumPass gives the kernel the dtype of what it reads; DEPTHWISE_CONV2D takes int8 weights"
_SELECT = "MatchArgDtypePass and DecomposeWherePass: SELECT gets branches of two dtypes"
_PRODUCT = "bmm wants one dtype and gets int64 and int8"


def _row(*ops: str) -> Callable[[], Graph]:
    """Ops in a row, each with a Q and DQ behind it."""

    def build() -> Graph:
        b = GraphBuilder()
        value = b.quantized_input("x", _SHAPE, _IN)
        for target in ops:
            args = (1,) if target == _CUMSUM else ()
            value = b.requantize(b.call(target, value, *args, shape=_SHAPE), _OUT)
        return b.output(value)

    return build


def _int16() -> Graph:
    b = GraphBuilder()
    qparams = full_int16(0.0002)
    value = b.call(_CUMSUM, b.quantized_input("x", _SHAPE, qparams), 1, shape=_SHAPE)
    return b.output(b.requantize(value, full_int16(0.0008)))


def _chosen(*, first: bool) -> Callable[[], Graph]:
    """A choice between a cumulative sum, as its first branch or its second, and an int8 tensor."""

    def build() -> Graph:
        b = GraphBuilder()
        x, y = b.quantized_input("x", _SHAPE, _IN), b.quantized_input("y", _SHAPE, _OUT)
        total = b.requantize(b.call(_CUMSUM, x, 1, shape=_SHAPE), _OUT)
        branches = (total, y) if first else (y, total)
        return b.output(b.requantize(b.call("aten.where.self", b.input("mask", _SHAPE, "bool"), *branches), _OUT))

    return build


def _chosen_twice(*, sum_first: bool) -> Callable[[], Graph]:
    """A choice between a choice of int8 and a cumulative sum, and int8; or between such a sum and such a choice."""

    def build() -> Graph:
        b = GraphBuilder()
        x, y = b.quantized_input("x", _SHAPE, _IN), b.quantized_input("y", _SHAPE, _OUT)
        mask = b.input("mask", _SHAPE, "bool")
        total = b.requantize(b.call(_CUMSUM, x, 1, shape=_SHAPE), _OUT)
        inner = b.requantize(b.call("aten.where.self", mask, y, total), _OUT)
        branches = (b.requantize(b.call(_CUMSUM, x, 2, shape=_SHAPE), _OUT), inner) if sum_first else (inner, y)
        return b.output(b.requantize(b.call("aten.where.self", mask, *branches), _OUT))

    return build


def _product() -> Graph:
    b = GraphBuilder()
    x, y = b.quantized_input("x", (1, 8, 8), _IN), b.quantized_input("y", (1, 8, 8), _IN)
    total = b.requantize(b.call(_CUMSUM, x, 1, shape=(1, 8, 8)), _OUT)
    return b.output(b.requantize(b.call("aten.bmm.default", total, y, shape=(1, 8, 8)), int8(0.0931, -4)))


def _sigmoid_summed() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    from fuseguard_rules.examples.dtype import modules as example_modules

    return example_modules.sigmoid_summed()


class CumulativeSumDtype(Rule):
    code = "DT509"
    name = "cumulative-sum-dtype-mismatch"
    summary = "A cumulative sum of int16 codes, of a lookup table's or of another one's; or such a sum beside int8."
    why = (
        "DecomposeCumsumPass turns a cumulative sum into a depthwise convolution with a kernel of ones, and gives the "
        "kernel the dtype that its input has at that time. TOSA takes int8 weights alone. int16 codes make an int16 "
        "kernel; codes from sigmoid, tanh, exp and the like count as float32 until InsertTableOpsPass, and make a "
        "float one; torch says of a cumulative sum of integers that it is int64, so a second one behind it gets that. "
        "A view, a clamp, a pool or a convolution between them changes nothing of it. For the same reason where cannot "
        "choose between such a sum, or what may be one, and int8 codes, if the sum is its first branch, and before 1.4 "
        "a matrix product cannot multiply the two."
    )
    remedy = (
        "Let fuseguard keep the op on the CPU (guard), or repair the program: maximum(x, x) in front of it changes no "
        "value and is integer arithmetic, which ends it. int16 has no such way out: quantize what is summed to int8."
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
    bad = (
        Example("cumsum of int16 codes", _int16, extensions=("int16",)),
        Example("cumsum of a sigmoid", _row("aten.sigmoid.default", _CUMSUM), _sigmoid_summed),
        Example("cumsum of a relu of a tanh", _row("aten.tanh.default", "aten.relu.default", _CUMSUM)),
        Example("cumsum of a cumsum", _row(_CUMSUM, _CUMSUM)),
        Example("cumsum of a relu of a cumsum", _row(_CUMSUM, "aten.relu.default", _CUMSUM)),
        Example("where between a cumsum and an int8 tensor", _chosen(first=True)),
        Example(
            "where between an int8 tensor and what chooses between it and a cumsum", _chosen_twice(sum_first=False)
        ),
        Example("bmm of a cumsum and an int8 tensor", _product, only_on="<1.4"),
    )
    good = (
        Example("cumsum of int8 codes", _row(_CUMSUM)),
        Example("cumsum of a relu", _row("aten.relu.default", _CUMSUM)),
        Example("cumsum of a floor, which keeps int8", _row("aten.floor.default", _CUMSUM)),
        Example("sigmoid of a cumsum", _row(_CUMSUM, "aten.sigmoid.default")),
        Example("cumsum of an abs of a cumsum", _row(_CUMSUM, "aten.abs.default", _CUMSUM)),
        Example("where between an int8 tensor and a cumsum", _chosen(first=False)),
        Example("where between a cumsum and what may be one", _chosen_twice(sum_first=True)),
    )
    references = ("found by this project's differential tests; not in the project's catalogue",)

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if not any(node.kind == _KIND and node.annotated for node in view.ops):
            return
        dtypes = early_dtypes(view, target)
        for node in view.ops:
            case, fault = _asks(view, node, dtypes, target) if node.annotated else ("", "")
            if case:
                yield self.finding(view, target, (node,), case=case, op=node.name, fault=fault)

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Has integer arithmetic that changes no value in front of the op."""
        node, dtypes = view.graph[finding.nodes[0]], early_dtypes(view, target)
        if node.kind == "matmul" and target.release_in("<1.3"):
            return None  # arithmetic becomes one of integers after the product has failed
        if _sums_int16(view, node):
            return None
        return rescaled_in_front(view, node, dtypes.after if node.kind == _KIND else dtypes.before)


def _sums_int16(view: View, node: Node) -> bool:
    qparams = view.in_qp(node, 0)
    return node.kind == _KIND and qparams is not None and qparams.dtype == "int16"


def _asks(view: View, node: Node, dtypes: EarlyDtypes, target: Target) -> tuple[str, str]:
    """The row of the effects table and the fault in words; "" where the op gets one dtype that it can do with."""
    data = operands_of(view, node)
    if node.kind == _KIND:
        if view.in_qp(node, 0) is None:
            return "", ""
        if _sums_int16(view, node):
            return "int16", "sums int16 codes; its kernel would be int16, and TOSA's convolutions take int8 weights"
        source = producer_name(view, data[0])
        if source not in dtypes.after:
            return "", ""
        dtype = dtypes.after[source].dtype
        return "kernel", f"sums the codes of {source}, which count as {dtype} until later; so would its kernel"
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
    return case, f"gets {' and '.join(seen)}, as torch counts codes behind a cumulative sum"
