"""OP720: a float of rank 0 that a delegate quantizes, and an op that cannot take its additional dimension."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.decompose_round import Misfit, misfits, misfits_by_source
from fuseguard.engine import Call, Edit, Effect, EffectRow, EffectsTable, Finding, Insert, Pair, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.operator.op720")

_FAR = 32  # A hostile graph need not end.
_ROUNDED = "DecomposeRoundPass: full((1,), 0.0)"


class RankZeroGainsDimension(Rule):
    code = "OP720"
    name = "rank-zero-gains-dimension"
    summary = "A delegate quantizes a float without dimensions, and an op depends on how many dimensions it has."
    why = (
        "With float support, a delegate computes a quantize op of a float itself. DecomposeRoundPass compares the "
        "float with a zero of shape (1,). A value without dimensions then has one dimension, which the program does "
        "not expect. Arithmetic accepts this, because it broadcasts. A cat or stack with values of the right rank, an "
        "expand to fewer dimensions and a permute do not, and lowering crashes. Such a float is an input of the "
        "program, or an op yields it on the CPU."
    )
    remedy = (
        "Make the value one of rank 1 (torch.tensor([0.5]), x.sum().reshape(1) on the CPU), or quantize it outside of "
        "the delegate. fuseguard can state the shape again before the op (repair), or keep the quantize op on the CPU "
        "(guard)."
    )
    scope = "node"
    message = "{value} has no dimensions and gets one where the delegate quantizes it, which {op} does not accept"
    effects = EffectsTable(
        [
            EffectRow("*", "*", "INT", Effect.EXACT, reference="the quantize op of a float stays on the CPU"),
            EffectRow("*", "*", "INT+FP", Effect.CRASH, reference=_ROUNDED),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for name, (found, *_) in misfits_by_source(view, target).items():
            source = view.graph[name]
            value = view.producer(source) or source
            yield self.finding(view, target, (source,), case="*", value=value.name, op=found.op.name)

    def exposed(self, view: View, target: Target, refused: frozenset[str]) -> Iterator[tuple[Node, Node]]:
        """Quantize ops of what is computed on the CPU only because its op is refused.

        Also those of what is joined with a value whose quantize op is refused.
        """
        if not target.has_float:
            return
        for found in misfits(view, target, refused):
            for source in found.sources:
                by = _refused_at(view, source, refused)
                if by is None:
                    others = (item for item in view.graph.inputs(found.op) if item not in found.operands)
                    by = next((node for item in others if (node := _refused_at(view, item, refused))), None)
                if by is not None:
                    yield source, by

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Insert a view to the shape that the program has, before each op that cannot take the dimension."""
        edits: list[Edit] = []
        for found in misfits_by_source(view, target).get(finding.nodes[0], ()):
            edits += _restated(view, found)
        return Rewrite(tuple(edits)) if edits else None


def _refused_at(view: View, value: Node, refused: frozenset[str]) -> Node | None:
    """The nearest refused node that a value is made by, through the first operands; None if there is none."""
    item = view.producer(value)
    for _ in range(_FAR):
        if item is None or item.name in refused:
            return item
        item = view.producer(item)
    return None


def _restated(view: View, found: Misfit) -> Iterator[Insert]:
    for operand in found.operands:
        qparams = view.qparams(operand)
        if operand.meta is None or qparams is None or not qparams.usable or None in operand.meta.shape:
            continue
        shape = Call("aten.view.default", (tuple(operand.meta.shape),))
        yield Insert(operand.name, (found.op.name,), (shape, Pair(qparams)))
