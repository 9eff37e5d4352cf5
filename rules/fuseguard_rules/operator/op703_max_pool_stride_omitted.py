"""OP703: a max-pool without an explicit stride, which the backend before 1.5 cannot read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from fuseguard.engine import Effect, EffectRow, EffectsTable, Example, Finding, Rewrite, Rule, SetArgument
from fuseguard.ir import Graph, Node, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target

if TYPE_CHECKING:
    import torch

#: From here on an absent or empty stride is read as the kernel size, as the operator's schema says.
READS_DEFAULT_FROM = ">=1.5"

_POOLS = ("aten.max_pool2d.", "aten.max_pool2d_with_indices.")
_SUPPORT = "MaxPool2dSupported reads args[2]"


def _pool(*stride: tuple[int, ...], quantized: bool = True) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        shape, pooled = (1, 4, 8, 8), (1, 4, 4, 4)
        qparams = int8(0.0487, 3)
        x = b.quantized_input("x", shape, qparams) if quantized else b.input("x", shape)
        value = b.call("aten.max_pool2d.default", x, (2, 2), *stride, shape=pooled, annotated=quantized)
        return b.output(b.requantize(value, qparams) if quantized else value)

    return build


def _program(stride: int | None) -> Callable[[], tuple[torch.nn.Module, tuple[torch.Tensor, ...]]]:
    def build() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
        from fuseguard_rules.examples.operator.modules import max_pool

        return max_pool(stride)

    return build


class PoolStrideOmitted(Rule):
    code = "OP703"
    name = "max-pool-stride-omitted"
    summary = "A max_pool2d leaves its stride to the default, which the backend before 1.5 does not know."
    why = (
        "The stride of max_pool2d is the kernel size where it is absent or empty; torch.nn.functional.max_pool2d(x, 2) "
        "exports it absent, torch.nn.MaxPool2d(2) exports it explicitly. Before 1.5 MaxPool2dSupported reads the third "
        "argument as it stands, so that asking whether the pool is supported already raises 'IndexError: tuple index "
        "out of range', quantized or not, whatever the profile. No additional check of a partitioner is asked before "
        "that one. Nothing in the program is at fault, so releases that lower it are not warned about it."
    )
    remedy = (
        "Write the stride out (max_pool2d(x, 2, stride=2), or torch.nn.MaxPool2d), or upgrade ExecuTorch to 1.5 or "
        "newer. A check comes too late, since the partitioner fails before it asks; a guarded partitioner (guard) and "
        "the repair write the stride out."
    )
    scope = "node"
    message = "{pool} has no explicit stride, which ExecuTorch {release} cannot read"
    effects = EffectsTable(
        [
            EffectRow("*", "<1.5", "*", Effect.CRASH, reference=_SUPPORT),
            EffectRow("*", ">=1.5", "*", Effect.EXACT, reference="MaxPool2dSupported: stride or kernel size"),
        ]
    )
    bad = (
        Example("max_pool2d without a stride", _pool(), _program(None), only_on="<1.5"),
        Example("max_pool2d with an empty stride", _pool(()), only_on="<1.5"),
        Example("max_pool2d without a stride, in float", _pool(quantized=False), only_on="<1.5"),
    )
    good = (Example("max_pool2d with a stride", _pool((2, 2)), _program(2)),)
    references = ("bug class 27 of the project's catalogue",)
    #: A partitioner asks MaxPool2dSupported first, so a refusal would come too late.
    refused = False
    mended_by_guard = True

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if target.release_in(READS_DEFAULT_FROM):
            return
        for node in view.ops:
            if node.target.startswith(_POOLS) and _omits_stride(node):
                yield self.finding(view, target, (node,), case="*", pool=node.name, release=target.release)

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Writes the stride out that the operator's schema means."""
        del target
        node = view.graph[finding.nodes[0]]
        return Rewrite((SetArgument(node.name, 2, "stride", node.arg(1, "kernel_size")),))


def _omits_stride(pool: Node) -> bool:
    return pool.arg(2, "stride") in (None, ())
