"""BO605: an op of an INT delegate shares one dequantize op with a reader outside, and leaves its others behind."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.delegates import refused_near
from fuseguard.backend.detag_boundary_nodes import Detagged, detagged, has_shared_dequantize
from fuseguard.backend.rewrites import with_own_dequantize
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.boundary.bo605")

_DETAG = (
    "TOSAPartitioner._detag_boundary_nodes has passed the op's other DQs when it de-tags the op: they stay, and yield "
    "floats"
)
_LOWERED = "Q and DQ are lowered, so that nothing is de-tagged"


class SharedDequantizeLeaves(Rule):
    code = "BO605"
    name = "shared-dequantize-leaves"
    summary = (
        "An op of an INT delegate shares a dequantize op with a reader outside, and reads other dequantize ops as well."
    )
    why = (
        "TOSAPartitioner._detag_boundary_nodes removes from an INT partition every dequantize op that has a user "
        "outside: an output of the program, an op on the CPU or an op of another partition. It then removes the op "
        "inside that reads this dequantize op, because that op now has a float input. The dequantize ops of the op's "
        "other operands, such as a weight, come earlier and stay. If their partition has anything else to compute, and "
        "always before 1.4, they are lowered in float. INT has no float, so lowering crashes. Arm's quantizer gives "
        "each reader its own dequantize op. Common-subexpression elimination, another quantizer or graph surgery makes "
        "readers share one."
    )
    remedy = (
        "Give the op its own dequantize op (repair), or let fuseguard keep it off the accelerator together with all "
        "its dequantize ops (guard)."
    )
    scope = "boundary"
    message = "{op} shares {dq} with {outside}, which is outside its delegate, and also reads {others}"
    effects = EffectsTable(
        [
            EffectRow("*", "*", "INT", Effect.CRASH, reference=_DETAG),
            EffectRow("*", "*", "INT+FP", Effect.EXACT, reference=_LOWERED),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("found by this project's own tests",)

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for op, dq, outside, others in _leaving(view, detagged(view, target)):
            yield self.finding(
                view,
                target,
                (op, dq),
                case="*",
                op=op.name,
                dq=dq.name,
                outside=outside.name,
                others=", ".join(other.name for other in others),
            )

    def exposed(self, view: View, target: Target, refused: frozenset[str]) -> Iterator[tuple[Node, Node]]:
        """Ops that leave their delegate only because a refusal divides it, or takes another reader out of it."""
        if target.has_float or not has_shared_dequantize(view):
            return
        known = {op.name for op, *_ in _leaving(view, detagged(view, target))}
        for op, dq, _, _ in _leaving(view, detagged(view, target, refused)):
            if op.name not in known:
                yield op, refused_near(view, dq, refused)

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        del target
        return with_own_dequantize(view, view.graph[finding.nodes[0]])


def _leaving(view: View, taken: Detagged | None) -> Iterator[tuple[Node, Node, Node, list[Node]]]:
    """An op, the dequantize op for which it leaves its delegate, who else reads that, and the ones that stay."""
    if taken is None:
        return
    for name, dq in taken.ops.items():
        op = view.graph[name]
        others = [item for item in view.graph.inputs(op) if item.name in taken.behind] if view.is_dq(dq) else []
        outside = taken.outside_reader(view, dq, op) if others else None
        if outside is not None:
            yield op, dq, outside, others
