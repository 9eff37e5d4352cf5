"""BO605: an op of an INT delegate shares one dequantize op with a reader outside, and leaves its others behind."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.partition import is_delegated, leaves_dqs_behind, outside_readers
from fuseguard.backend.rewrites import with_own_dequantize
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import View
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
        "outside; an output of the program counts as one. It then removes the op inside that reads this dequantize op, "
        "because that op now has a float input. The dequantize ops of the op's other operands, such as a weight, come "
        "earlier and stay. If their partition has anything else to compute, and always before 1.4, they are lowered in "
        "float. INT has no float, so lowering crashes. Arm's quantizer gives each reader its own dequantize op. "
        "Common-subexpression elimination, another quantizer or graph surgery makes readers share one."
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
