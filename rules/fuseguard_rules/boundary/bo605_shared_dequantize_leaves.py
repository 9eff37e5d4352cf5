"""BO605: an op of an INT delegate shares a dequantize op with something outside, and its other ones stay behind."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.partition import is_delegated, leaves_dqs_behind, outside_readers
from fuseguard.backend.rewrites import with_own_dequantize
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rewrite, Rule
from fuseguard.ir import View
from fuseguard.target import Target
from fuseguard_rules.examples.boundary import bo605 as examples

_DETAG = (
    "TOSAPartitioner._detag_boundary_nodes has passed the op's other DQs when it de-tags the op: they stay, and yield "
    "floats"
)
_LOWERED = "Q and DQ are lowered, so that nothing is de-tagged"


class SharedDequantizeLeaves(Rule):
    code = "BO605"
    name = "shared-dequantize-leaves"
    summary = "An op of an INT delegate reads a dequantize op that something outside reads too, and others besides."
    why = (
        "TOSAPartitioner._detag_boundary_nodes takes out of an INT partition each dequantize op with a user outside, "
        "an output of the program among them, and then the op inside that reads it, since that has a float input now. "
        "The dequantize ops of its other operands, a weight say, come before it and stay. Where their partition has "
        "anything else to compute, and always before 1.4, they are lowered in float, which INT has not: the lowering "
        "crashes. Arm's quantizer gives each reader a dequantize op of its own; a common-subexpression elimination, "
        "another quantizer or surgery on the graph makes them share it."
    )
    remedy = (
        "Give the op a dequantize op of its own (repair), or let fuseguard keep it off the accelerator along with all "
        "its dequantize ops (guard)."
    )
    scope = "boundary"
    message = "{op} shares {dq} with {outside}, which is outside of its delegate, and reads {others} besides"
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
        outside = outside_readers(view, target)
        detagged = frozenset(outside)
        for node in view.ops if detagged else ():
            dqs = [item for item in view.graph.inputs(node) if view.is_dq(item)]
            shared = next((dq for dq in dqs if dq.name in detagged), None)
            others = [dq.name for dq in dqs if dq.name not in detagged]
            if shared is None or not others or not is_delegated(view, node, target):
                continue
            if leaves_dqs_behind(view, node, target, detagged):
                yield self.finding(
                    view,
                    target,
                    (node, shared),
                    case="*",
                    op=node.name,
                    dq=shared.name,
                    outside=outside[shared.name].name,
                    others=", ".join(others),
                )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        return with_own_dequantize(view, view.graph[finding.nodes[0]], target)
