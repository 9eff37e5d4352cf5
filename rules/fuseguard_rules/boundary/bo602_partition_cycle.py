"""BO602: a dequantized value is read on and off the accelerator, and the partition loses its middle."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.partition import delegated_reader, is_delegated, outside_readers, stays_on_cpu
from fuseguard.backend.rewrites import with_own_dequantize
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, View
from fuseguard.ir.walks import reached
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.boundary.bo602")

_DETAG = "TOSAPartitioner._detag_boundary_nodes, #18190"
_SPLIT = "TOSAPartitioner._tag_module splits the partition, #18191"
_LOWERED = "Q and DQ are lowered, so that nothing is de-tagged"


class PartitionCycle(Rule):
    code = "BO602"
    name = "partition-cycle"
    summary = "An op in the middle of an INT partition shares a dequantize op with the CPU or with an output."
    why = (
        "TOSAPartitioner._detag_boundary_nodes removes from an INT partition every dequantize op that has a user "
        "outside; an output of the program counts as one. It also removes every op inside that reads this dequantize "
        "op, because that op now has a float input. If the partition begins before this op and continues after it, its "
        "two ends depend on each other through a node outside, and fusing the partition raises 'Invalid partition, "
        "found dependency cycles'. Since 1.4 (#18191), such a partition is split in two, and the op between runs on "
        "the CPU. Arm's quantizer gives each reader its own DQ. Readers share one if an operator is decomposed into "
        "several, or if another tool made the program."
    )
    remedy = (
        "Give each reader its own dequantize op (repair), let fuseguard keep the op in the middle on the CPU (guard), "
        "or upgrade ExecuTorch to 1.4 or newer."
    )
    scope = "boundary"
    message = (
        "{dq} feeds {kept}, which continues to {after} on the accelerator, and {outside}, which is off the accelerator"
    )
    effects = EffectsTable(
        [
            EffectRow("*", "<1.4", "INT", Effect.CRASH, reference=_DETAG),
            EffectRow("*", ">=1.4", "INT", Effect.CPU_FALLBACK, reference=_SPLIT),
            EffectRow("*", "*", "INT+FP", Effect.EXACT, reference=_LOWERED),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("executorch #18190", "executorch #18191")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        reach: _Reach | None = None
        for name, outside in outside_readers(view, target).items():
            dq = view.graph[name]
            start = _delegated_source(view, dq, target)
            if start is None:
                continue
            reach = reach or _Reach(view, target)
            for kept in view.users(dq):
                after = delegated_reader(view, kept, target) if is_delegated(view, kept, target) else None
                if after is not None and reach.share_partition(start, after):
                    yield self.finding(
                        view,
                        target,
                        (kept, dq),
                        case="*",
                        dq=dq.name,
                        kept=kept.name,
                        after=after.name,
                        outside=outside.name,
                    )
                    break

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        return with_own_dequantize(view, view.graph[finding.nodes[0]], target)


class _Reach:
    """How many CPU ops lie on the paths to a node (``before``), and on those to any node that follows it without a
    further CPU op (``after``). The path with the most ops counts.

    The partitioner goes backwards and puts an op into a partition of its users. Two ops that follow each other
    therefore share a partition if no CPU op is between them, and if the second one is not in a partition with an op
    that waits for such a CPU op.
    """

    def __init__(self, view: View, target: Target) -> None:
        self._view, self._target = view, target
        self._before: dict[str, int] = {}
        self._after: dict[str, int] = {}

    def before(self, node: Node) -> int:
        if node.name not in self._before:
            inputs = self._view.graph.inputs
            for item in reached(node, inputs, self._before):
                before = max([self._before[producer.name] for producer in inputs(item)], default=0)
                self._before[item.name] = before + stays_on_cpu(self._view, item, self._target)
        return self._before[node.name]

    def after(self, node: Node) -> int:
        if node.name not in self._after:
            for item in reversed(reached(node, self._followers, self._after)):
                further = [self._after[user.name] for user in self._followers(item)]
                self._after[item.name] = max([self.before(item), *further])
        return self._after[node.name]

    def _followers(self, node: Node) -> list[Node]:
        users = self._view.users(node)
        return [user for user in users if user.op == "call" and not stays_on_cpu(self._view, user, self._target)]

    def share_partition(self, first: Node, second: Node) -> bool:
        return self.before(first) == self.after(second)


def _delegated_source(view: View, dq: Node, target: Target) -> Node | None:
    """The op on the accelerator whose codes ``dq`` reads."""
    owner = view.maker(dq)
    return owner if owner is not None and is_delegated(view, owner, target) else None
