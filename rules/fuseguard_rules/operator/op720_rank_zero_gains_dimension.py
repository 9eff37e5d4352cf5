"""OP720: a float of rank 0 that a delegate quantizes, and an op that cannot take its additional dimension."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.decompose_round import Misfit, misfits
from fuseguard.engine import Call, Edit, Effect, EffectRow, EffectsTable, Finding, Insert, Pair, Rewrite, Rule
from fuseguard.ir import Node, View
from fuseguard.target import Target
from fuseguard_rules.examples.operator import op720 as examples

_ROUNDED = "DecomposeRoundPass: full((1,), 0.0)"


class RankZeroGainsDimension(Rule):
    code = "OP720"
    name = "rank-zero-gains-dimension"
    summary = "A delegate quantizes a float without dimensions, and an op depends on how many dimensions it has."
    why = (
        "With float support, a delegate computes a quantize op of a float itself. DecomposeRoundPass compares the "
        "float with a zero of shape (1,). A value without dimensions then has one dimension, which the program does "
        "not know. Arithmetic takes it: it broadcasts. A cat or stack with values of the right rank, an expand to "
        "fewer dimensions and a permute do not, and lowering crashes. Such a float is an input of the program, or an "
        "op yields it on the CPU."
    )
    remedy = (
        "Make the value one of rank 1 (torch.tensor([0.5]), x.sum().reshape(1) on the CPU), or quantize it outside of "
        "the delegate. fuseguard can state the shape again before the op (repair), or keep the quantize op on the CPU "
        "(guard)."
    )
    scope = "node"
    message = "{value} has no dimensions and gets one where the delegate quantizes it, which {op} cannot take"
    effects = EffectsTable(
        [
            EffectRow("*", "*", "INT", Effect.EXACT, reference="the quantize op of a float stays on the CPU"),
            EffectRow("*", "*", "INT+FP", Effect.CRASH, reference=_ROUNDED),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        seen: set[str] = set()
        for found in misfits(view, target):
            if found.source.name in seen:
                continue
            seen.add(found.source.name)
            value = view.producer(found.source) or found.source
            yield self.finding(view, target, (found.source,), case="*", value=value.name, op=found.op.name)

    def exposed(self, view: View, target: Target, refused: frozenset[str]) -> Iterator[tuple[Node, Node]]:
        """Quantize ops of a value that is computed on the CPU only because its op is refused."""
        if not target.has_float:
            return
        for found in misfits(view, target, refused):
            producer = view.producer(found.source)
            if producer is not None and producer.name in refused:
                yield found.source, producer

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Insert a view to the shape that the program has, before each op that cannot take the dimension."""
        edits: list[Edit] = []
        for found in misfits(view, target):
            if found.source.name == finding.nodes[0]:
                edits += _restated(view, found)
        return Rewrite(tuple(edits)) if edits else None


def _restated(view: View, found: Misfit) -> Iterator[Insert]:
    for operand in found.operands:
        qparams = view.qparams(operand)
        if operand.meta is None or qparams is None or not qparams.usable or None in operand.meta.shape:
            continue
        shape = Call("aten.view.default", (tuple(operand.meta.shape),))
        yield Insert(operand.name, (found.op.name,), (shape, Pair(qparams)))
