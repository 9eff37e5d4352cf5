"""PL402: an op with several tensor inputs has some of them quantized and some in float."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fuseguard.engine import Effect, EffectRow, EffectsTable, Evidence, Example, Finding, Rule
from fuseguard.ir import Graph, Node, View
from fuseguard.ir.builder import GraphBuilder
from fuseguard.target import Target
from fuseguard_rules.placement.operands import INPUT, OUTPUT, SHAPE, float_peers, half_quantized

_CHECKED = "CheckProperQuantization"
_FOLDED = "FoldAndAnnotateQParamsPass folds the DQs that are there, #21589, #22559"

#: Ops that combine tensors in one arithmetic, by the case they are in: which of them the INT profile checks, which
#: it takes and cannot serialize, which it takes and cannot run, and which lower without a word.
_CASES = {
    **dict.fromkeys(("add", "sub", "mul"), "checked"),
    **dict.fromkeys(("maximum", "minimum", "cat", "stack", "eq", "ne", "ge", "gt", "le", "lt"), "unchecked"),
    "matmul": "matmul",
    "where": "where",
}


def _graph(target: str, *, listed: bool = False, both: bool = False) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", SHAPE, INPUT)
        y = b.quantized_input("y", SHAPE, INPUT) if both else b.input("y", SHAPE)
        if listed:
            value = b.call(target, (x, y), 1, shape=(1, 8, 8, 8))
        elif target.startswith("aten.where"):
            value = b.call(target, b.input("condition", SHAPE, "bool"), x, y, shape=SHAPE)
        else:
            value = b.call(target, x, y, shape=SHAPE)
        return b.output(b.requantize(value, INPUT if listed or "where" in target else OUTPUT))

    return build


class PartialInputs(Rule):
    code = "PL402"
    name = "inputs-partly-quantized"
    summary = "An op that was annotated as quantized reads some of its tensors dequantized and others in float."
    why = (
        "FoldAndAnnotateQParamsPass assumes 'DQ nodes for all tensor inputs' and folds those that it finds. The op "
        "then sees codes beside values: InsertRescaleInt32Pass misses a second set of qparams, TOSA operators refuse "
        "the two dtypes, and where picks one or the other without a word. The INT profile leaves add, sub and mul on "
        "the CPU (CheckProperQuantization) and takes the others. 1.5 keeps the Q and DQ of a few binary ops (#21589), "
        "but InsertRescaleInt32Pass still takes them for integer ones."
    )
    remedy = "Quantize all float inputs of the op, or none of them, or let fuseguard keep it on the CPU (guard)."
    scope = "cluster"
    preview = True
    message = "{node} reads {quantized} dequantized and {plain} in float"
    effects = EffectsTable(
        [
            EffectRow("checked", ">=1.5", "INT", Effect.CPU_FALLBACK, reference=_CHECKED),
            EffectRow("checked", "<1.5", "INT", Effect.CPU_FALLBACK, Evidence.SOURCE_READ, _CHECKED),
            EffectRow("checked", ">=1.5", "INT+FP", Effect.CRASH, reference=_FOLDED),
            EffectRow("matmul", "*", "INT", Effect.RUNTIME_FAULT, Evidence.SOURCE_READ, _FOLDED),
            EffectRow("where", "*", "INT", Effect.CPU_FALLBACK, Evidence.SOURCE_READ, _CHECKED),
            EffectRow("where", "*", "INT+FP", Effect.WRONG, Evidence.SOURCE_READ, _FOLDED),
            EffectRow("*", "*", "*", Effect.CRASH, Evidence.SOURCE_READ, _FOLDED),
        ]
    )
    bad = (
        Example("add of a quantized and a float tensor", _graph("aten.add.Tensor")),
        Example("cat of a quantized and a float tensor", _graph("aten.cat.default", listed=True)),
        Example("maximum of a quantized and a float tensor", _graph("aten.maximum.default")),
        Example("where between a quantized and a float tensor", _graph("aten.where.self")),
    )
    good = (Example("where between two quantized tensors", _graph("aten.where.self", both=True)),)
    references = ("executorch #21589", "executorch #22559", "bug class 9 of the project's catalogue")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node in view.calls():
            case = _CASES.get(node.kind)
            if case is None or not node.annotated or half_quantized(view, node) is not None:
                continue
            quantized, plain = float_peers(view, node)
            if quantized and plain:
                yield self.finding(
                    view, target, (node,), case=case, node=node.name, quantized=_names(quantized), plain=_names(plain)
                )


def _names(nodes: list[Node]) -> str:
    return ", ".join(node.name for node in nodes)
