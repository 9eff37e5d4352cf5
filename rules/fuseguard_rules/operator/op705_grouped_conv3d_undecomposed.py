"""OP705: a grouped 3-D convolution that the backend accepts but cannot lower."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.fused_activation import fused_activations, is_quantized_anchor
from fuseguard.backend.releases import DECOMPOSES_GROUPED_CONV3D
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.operator.op705")


class GroupedConv3dUndecomposed(Rule):
    code = "OP705"
    name = "grouped-conv3d-undecomposed"
    summary = "A program has a grouped or depthwise Conv3d, which the backend before 1.4 delegates but cannot lower."
    why = (
        "TOSA's CONV3D has no groups. DecomposeGroupedConvPass splits grouped convolutions, but before 1.4 only those "
        "with one and two dimensions. The partitioner accepts a Conv3d with groups anyway, and RewriteConvPass crashes "
        "with 'CONV3D with groups != 1 is not supported'. The program is not at fault, so the rule reports nothing for "
        "releases that lower it."
    )
    remedy = "Upgrade ExecuTorch to 1.4 or newer, or let fuseguard keep the convolution on the CPU (guard)."
    scope = "node"
    message = "{anchor} is a Conv3d with {groups} groups, which ExecuTorch {release} cannot lower"
    effects = EffectsTable(
        [
            EffectRow("*", "<1.4", "INT", Effect.CRASH, reference="RewriteConvPass: CONV3D with groups != 1"),
            EffectRow("*", "<1.4", "INT+FP", Effect.CRASH, reference="RewriteConvPass: CONV3D with groups != 1"),
            EffectRow("*", ">=1.4", "*", Effect.EXACT, reference="DecomposeGroupedConvPass"),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("found by this project's differential tests",)

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if DECOMPOSES_GROUPED_CONV3D.in_force(target):
            return
        # If an activation strands the anchor, the INT profile leaves both on the CPU anyway.
        stranded = {fusion.island.anchor.name for fusion in fused_activations(view, target) if not fusion.fused}
        for island in view.islands:
            anchor = island.anchor
            if not is_quantized_anchor(view, island) or (anchor.name in stranded and not target.has_float):
                continue
            data = view.in_dq(anchor, 0)
            if anchor.kind != "conv" or data is None or data.meta is None or data.meta.rank != 5:
                continue
            groups = view.groups(anchor)
            if groups > 1 and not view.transposed(anchor):
                yield self.finding(
                    view, target, (anchor,), case="*", anchor=anchor.name, groups=groups, release=target.release
                )
