"""BO602: a dequantized value is read on and off the accelerator, and the partition loses its middle."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.detag_boundary_nodes import detagged
from fuseguard.backend.rewrites import with_own_dequantize
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import View
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
        "outside: an output of the program, an op on the CPU or an op of another partition. It also removes every op inside that reads this dequantize "
        "op, because that op now has a float input. If the partition begins before this op and continues after it, its "
        "two ends depend on each other through a node outside, and fusing the partition raises 'Invalid partition, "
        "found dependency cycles'. Since 1.4 (#18191), such a partition is split into its connected components, and "
        "the op between runs on the CPU. That does not help if another path joins the two ends, as around a residual. "
        "Arm's quantizer gives each reader its own DQ. Readers share one if an operator is decomposed into "
        "several, or if another tool made the program."
    )
    remedy = (
        "Give each reader its own dequantize op (repair), let fuseguard keep the op in the middle on the CPU (guard), "
        "or upgrade ExecuTorch to 1.4 or newer, which helps if nothing else joins the two ends."
    )
    scope = "boundary"
    message = (
        "{dq} feeds {kept}, which continues to {after} on the accelerator, and {outside}, which is outside of its partition"
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
        taken = detagged(view, target)
        seen: set[str] = set()
        for name in sorted(taken.between, key=lambda name: name not in taken.knotted) if taken is not None else ():
            kept, dq, after = view.graph[name], taken.ops[name], taken.between[name]
            outside = taken.outside_reader(view, dq, kept) if view.is_dq(dq) and dq.name not in seen else None
            if outside is not None:
                seen.add(dq.name)
                yield self.finding(
                    view,
                    target,
                    (kept, dq),
                    case="joined" if name in taken.knotted else "*",
                    dq=dq.name,
                    kept=kept.name,
                    after=after.name,
                    outside=outside.name,
                )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        del target
        return with_own_dequantize(view, view.graph[finding.nodes[0]])
