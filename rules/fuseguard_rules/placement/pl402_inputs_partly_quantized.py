"""PL402: an op with several tensor inputs has some of them quantized and some in float."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fuseguard.backend.partition import has_company
from fuseguard.backend.quantized_operands import (
    INPUT,
    OUTPUT,
    SHAPE,
    float_peers,
    half_quantized,
    is_unchecked,
    quantized_source,
)
from fuseguard.engine import Effect, EffectRow, EffectsTable, Example, Finding, Rewrite, Rule, Unannotate
from fuseguard.ir import Graph, Node, View
from fuseguard.ir.builder import GraphBuilder
from fuseguard.target import Target

_CHECKED = "CheckProperQuantization"
_UNTYPED = "a float input of an integer-only delegate"
_LEFT = (
    "TOSAPartitioner._detag_boundary_nodes has passed the op's DQs when it de-tags the op: they stay, and yield floats"
)
_FOLDED = "FoldAndAnnotateQParamsPass folds the DQs that are there, #21589, #22559"

#: Ops that combine tensors in one arithmetic, by the case they are in: those that the INT profile checks, and where,
#: which lowers without a word.
_CASES = {**dict.fromkeys(("add", "sub", "mul"), "checked"), "where": "where"}


def _graph(target: str, *, listed: bool = False, both: bool = False) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        shape = (1, 8, 8) if "mm" in target or "matmul" in target else SHAPE
        x = b.quantized_input("x", shape, INPUT)
        y = b.quantized_input("y", shape, INPUT) if both else b.input("y", shape)
        if "gt" in target:
            return b.output(b.call(target, x, y, shape=shape, dtype="bool"))
        if listed:
            value = b.call(target, (x, y), 1, shape=(1, 8, 8, 8))
        elif target.startswith("aten.where"):
            value = b.call(target, b.input("condition", SHAPE, "bool"), x, y, shape=SHAPE)
        else:
            value = b.call(target, x, y, shape=shape)
        return b.output(b.requantize(value, INPUT if listed or "where" in target else OUTPUT))

    return build


def _behind(target: str, *, beside: bool = False) -> Callable[[], Graph]:
    """A tanh on the accelerator, read by ``target`` or, ``beside``, by nobody else."""

    def build() -> Graph:
        b = GraphBuilder()
        y = b.input("y", SHAPE)
        codes = b.quantize(b.call("aten.tanh.default", b.quantized_input("x", SHAPE, INPUT)), INPUT)
        x = b.quantized_input("z", SHAPE, INPUT) if beside else b.dequantize(codes, INPUT)
        value = b.call(target, (x, y), 1, shape=(1, 8, 8, 8)) if "cat" in target else b.call(target, x, y)
        return b.output(b.requantize(value, INPUT), b.dequantize(codes, INPUT))

    return build


def _moved_in_float() -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, INPUT)
    moved = b.call("aten.permute.default", x, (0, 1, 3, 2), shape=SHAPE, annotated=False)
    value = b.call(
        "aten.cat.default", (moved, b.quantized_constant("other", SHAPE, INPUT.scale)), 1, shape=(1, 8, 8, 8)
    )
    return b.output(b.requantize(value, INPUT))


def _chosen() -> Graph:
    """An abs on the accelerator goes to a comparison, which cannot, and around it to what reads the comparison."""
    b = GraphBuilder()
    codes = b.quantize(b.call("aten.abs.default", b.quantized_input("x", SHAPE, INPUT)), INPUT)
    number = b.call("aten.full.default", (1,), 0.5, shape=(1,))
    mask = b.call("aten.gt.Tensor", b.dequantize(codes, INPUT), number, shape=SHAPE, dtype="bool")
    other = b.quantized_input("y", SHAPE, INPUT)
    chosen = b.call("aten.where.self", mask, other, b.dequantize(codes, INPUT), shape=SHAPE)
    return b.output(b.requantize(chosen, INPUT))


class PartialInputs(Rule):
    code = "PL402"
    name = "inputs-partly-quantized"
    summary = "An op that was annotated as quantized reads some of its tensors dequantized and others in float."
    why = (
        "FoldAndAnnotateQParamsPass assumes 'DQ nodes for all tensor inputs' and folds those that it finds. The op "
        "then sees codes beside values: InsertRescaleInt32Pass misses a second set of qparams, TOSA operators refuse "
        "the two dtypes, and where picks one or the other without a word. The INT profile leaves add, sub and mul on "
        "the CPU (CheckProperQuantization) and takes the others; then it de-tags them as first ops with a float input, "
        "but not the DQs of their other operands: where their partition has anything else to compute, these are "
        "lowered in float, which INT has not. 1.5 keeps the Q and DQ of a few binary ops (#21589), but "
        "InsertRescaleInt32Pass still takes them for integer ones."
    )
    remedy = "Quantize all float inputs of the op, or none of them, or let fuseguard keep it on the CPU (guard)."
    scope = "cluster"
    message = "{node} reads {quantized} dequantized and {plain} in float"
    effects = EffectsTable(
        [
            EffectRow("checked", "*", "INT", Effect.CPU_FALLBACK, reference=_CHECKED),
            EffectRow("bmm", "*", "INT", Effect.CPU_FALLBACK, reference=_UNTYPED),
            EffectRow("bmm", ">=1.5", "INT+FP", Effect.EXACT, reference="Q and DQ kept for bmm, #21589"),
            EffectRow("matmul", "*", "INT", Effect.CPU_FALLBACK, reference=_UNTYPED),
            EffectRow("where", "*", "INT", Effect.CPU_FALLBACK, reference=_CHECKED),
            EffectRow("where", "*", "INT+FP", Effect.WRONG, reference=_FOLDED),
            EffectRow("unchecked", ">=1.4", "INT", Effect.CPU_FALLBACK, reference=_UNTYPED),
            EffectRow("left", "*", "INT", Effect.CRASH, reference=_LEFT),
            EffectRow("*", "*", "*", Effect.CRASH, reference=_FOLDED),
        ]
    )
    bad = (
        Example("add of a quantized and a float tensor", _graph("aten.add.Tensor")),
        Example("cat of a quantized and a float tensor", _graph("aten.cat.default", listed=True)),
        Example("maximum of a quantized and a float tensor", _graph("aten.maximum.default")),
        Example("cat of a float tensor and one from the accelerator", _behind("aten.cat.default")),
        Example("maximum of a float tensor and one from the accelerator", _behind("aten.maximum.default")),
        Example("cat of a float tensor, beside what else is computed", _behind("aten.cat.default", beside=True)),
        Example("cat of a constant and what was moved in float", _moved_in_float),
        Example("comparison of a quantized and a float tensor", _graph("aten.gt.Tensor")),
        Example("bmm of a quantized and a float tensor", _graph("aten.bmm.default")),
        Example("matmul of a quantized and a float tensor", _graph("aten.matmul.default")),
        Example("where between a quantized and a float tensor", _graph("aten.where.self")),
        Example("comparison with a number in float, and a choice by it", _chosen),
    )
    good = (Example("where between two quantized tensors", _graph("aten.where.self", both=True)),)
    references = ("executorch #21589", "executorch #22559", "bug class 9 of the project's catalogue")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node in view.ops:
            case = _case(node)
            if not case or not node.annotated or half_quantized(view, node) is not None:
                continue
            quantized, plain = float_peers(view, node)
            if target.has_float and case == "where":
                plain = [item for item in plain if not _is_its_own_code(view, item, quantized)]
            if quantized and plain:
                if case == "unchecked" and not target.has_float and has_company(view, node, target):
                    case = "left"
                # A decomposed op has data movement in front of it that carries the annotation too.
                paths = [step for item in quantized for step in quantized_source(view, item, folded=True) or ()]
                between = dict.fromkeys(step.name for step in paths if not view.is_dq(step))
                nodes = (node, *(view.graph[name] for name in between))
                yield self.finding(
                    view, target, nodes, case=case, node=node.name, quantized=_names(quantized), plain=_names(plain)
                )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """What is quantized by halves computes in float: that is what the program says."""
        del view, target
        return Rewrite(tuple(Unannotate(name) for name in finding.nodes))


def _is_its_own_code(view: View, constant: Node, quantized: list[Node]) -> bool:
    """Whether a number that is taken for a code is that of its value, as 0 is where the zero point is 0."""
    number = constant.args[-1] if constant.kind == "full" and len(constant.args) > 1 else None
    qparams = [view.qparams(source[-1]) for item in quantized if (source := quantized_source(view, item, folded=True))]
    return isinstance(number, int | float) and all(
        item is not None and not item.per_channel and item.quantize(number) == number for item in qparams
    )


def _case(node: Node) -> str:
    if node.kind == "matmul":
        return "bmm" if node.target.startswith("aten.bmm") else "matmul"
    return "unchecked" if is_unchecked(node) else _CASES.get(node.kind, "")


def _names(nodes: list[Node]) -> str:
    return ", ".join(node.name for node in nodes)
