"""OP703: a max-pool without an explicit stride, which the backend before 1.5.1 cannot read."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.releases import READS_DEFAULT_STRIDE
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rewrite, Rule, SetArgument
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.operator.op703")

_POOLS = ("aten.max_pool2d.", "aten.max_pool2d_with_indices.")
_SUPPORT = "MaxPool2dSupported reads args[2]"


class PoolStrideOmitted(Rule):
    code = "OP703"
    name = "max-pool-stride-omitted"
    summary = "A max_pool2d omits its stride, and the backend before 1.5.1 does not know the default."
    why = (
        "If the stride of max_pool2d is absent or empty, it is the kernel size. torch.nn.functional.max_pool2d(x, 2) "
        "exports no stride; torch.nn.MaxPool2d(2) exports it explicitly. Before 1.5.1, MaxPool2dSupported reads the "
        "third argument unconditionally. This raises 'IndexError: tuple index out of range' in every profile, whether "
        "the pool is quantized or not. A partitioner asks its additional checks only after this one. The program is "
        "not at fault, so the rule reports nothing for releases that lower it."
    )
    remedy = (
        "Write the stride out (max_pool2d(x, 2, stride=2), or torch.nn.MaxPool2d), or upgrade ExecuTorch to 1.5.1 or "
        "newer. A check comes too late, because the partitioner fails before it asks. A guarded partitioner (guard) "
        "and the repair write the stride out."
    )
    scope = "node"
    message = "{pool} has no explicit stride, which ExecuTorch {release} cannot read"
    effects = EffectsTable(
        [
            EffectRow("*", "<1.5.1", "*", Effect.CRASH, reference=_SUPPORT),
            EffectRow("*", ">=1.5.1", "*", Effect.EXACT, reference="MaxPool2dSupported: stride or kernel size"),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    #: A partitioner asks MaxPool2dSupported first, so a refusal would come too late.
    refused = False
    fixed_by_guard = True

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if READS_DEFAULT_STRIDE.in_force(target):
            return
        for node in view.ops:
            if node.target.startswith(_POOLS) and _omits_stride(node):
                yield self.finding(view, target, (node,), case="*", pool=node.name, release=target.release)

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Write out the stride that the operator's schema implies."""
        del target
        node = view.graph[finding.nodes[0]]
        return Rewrite((SetArgument(node.name, 2, "stride", node.arg(1, "kernel_size")),))


def _omits_stride(pool: Node) -> bool:
    return pool.arg(2, "stride") in (None, ())
