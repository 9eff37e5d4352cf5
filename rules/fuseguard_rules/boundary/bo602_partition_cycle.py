"""BO602: a dequantized value is read on and off the accelerator, and the partition loses its middle."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.delegates import refused_near
from fuseguard.backend.detag_boundary_nodes import Detagged, detagged, has_shared_dequantize
from fuseguard.backend.rewrites import with_own_dequantize
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.boundary.bo602")

_DETAG = "TOSAPartitioner._detag_boundary_nodes, #18190"
_SPLIT = "TOSAPartitioner._tag_module splits the partition, #18191"
_JOINED = "TOSAPartitioner._find_connected_components keeps both ends in one part"
_LOWERED = "Q and DQ are lowered, so that nothing is de-tagged"


class PartitionCycle(Rule):
    code = "BO602"
    name = "partition-cycle"
    summary = "An op in the middle of an INT partition shares a dequantize op with a reader outside of the partition."
    why = (
        "TOSAPartitioner._detag_boundary_nodes removes from an INT partition every dequantize op that has a user "
        "outside: an output of the program, an op on the CPU or an op of another partition. It also removes every op "
        "inside that reads this dequantize op, because that op now has a float input. If the partition begins before "
        "this op and continues after it, its two ends depend on each other through a node outside, and fusing the "
        "partition raises 'Invalid partition, found dependency cycles'. Since 1.4 (#18191), such a partition is split "
        "into its connected components, and the op between runs on the CPU. That does not help if another path joins "
        "the two ends, as the shortcut of a residual does. Arm's quantizer gives each reader its own DQ. Readers share "
        "one if an operator is decomposed into several, or if another tool made the program."
    )
    remedy = (
        "Give each reader its own dequantize op (repair), let fuseguard keep the op in the middle on the CPU (guard), "
        "or upgrade ExecuTorch to 1.4 or newer, which helps if nothing else joins the two ends."
    )
    scope = "boundary"
    message = (
        "{dq} feeds {kept}, which continues to {after} on the accelerator, and {outside}, "
        "which is outside of their partition"
    )
    effects = EffectsTable(
        [
            EffectRow("joined", "*", "INT", Effect.CRASH, reference=_JOINED),
            EffectRow("*", "<1.4", "INT", Effect.CRASH, reference=_DETAG),
            EffectRow("*", ">=1.4", "INT", Effect.CPU_FALLBACK, reference=_SPLIT),
            EffectRow("*", "*", "INT+FP", Effect.EXACT, reference=_LOWERED),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("executorch #18190", "executorch #18191")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        seen: set[str] = set()
        for case, kept, dq, after, outside in _in_the_middle(view, detagged(view, target)):
            if dq.name not in seen:
                seen.add(dq.name)
                yield self.finding(
                    view,
                    target,
                    (kept, dq),
                    case=case,
                    dq=dq.name,
                    kept=kept.name,
                    after=after.name,
                    outside=outside.name,
                )

    def exposed(self, view: View, target: Target, refused: frozenset[str]) -> Iterator[tuple[Node, Node]]:
        """Ops in the middle of a partition that a refusal makes depend on itself."""
        if target.has_float or not has_shared_dequantize(view):
            return
        known = {kept.name for _, kept, *_ in _in_the_middle(view, detagged(view, target))}
        for case, kept, dq, *_ in _in_the_middle(view, detagged(view, target, refused)):
            if kept.name not in known and self.effects.look_up(case, target).effect is Effect.CRASH:
                yield kept, refused_near(view, dq, refused)

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        del target
        return with_own_dequantize(view, view.graph[finding.nodes[0]])


def _in_the_middle(view: View, taken: Detagged | None) -> Iterator[tuple[str, Node, Node, Node, Node]]:
    """The case, an op taken out, the dequantize op for which it is, what goes on after it, and who else reads that.

    Those that crash on every release come first.
    """
    if taken is None:
        return
    for name in sorted(taken.between, key=lambda name: name not in taken.knotted):
        kept, dq = view.graph[name], taken.ops[name]
        outside = taken.outside_reader(view, dq, kept) if view.is_dq(dq) else None
        if outside is not None:
            yield "joined" if name in taken.knotted else "*", kept, dq, taken.between[name], outside
