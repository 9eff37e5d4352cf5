"""FU101: an activation fused into its anchor though the shared qparams cannot express its bounds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fuseguard.backend.fused_activation import (
    FusedActivation,
    fused_activations,
    labelled_qparams,
    pair_on_anchor,
    saturation_excess,
)
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rewrite, Rule
from fuseguard.ir import View, activation_bounds
from fuseguard.target import Target
from fuseguard_rules.examples.fusion import islands as examples

if TYPE_CHECKING:
    from fuseguard.ir.qparams import QParams

_NO_QPARAMS = "RewriteConvPass: No output quantization parameter found"


class FusedActivationOutOfRange(Rule):
    code = "FU101"
    name = "fused-activation-out-of-range"
    summary = "The output qparams of an anchor sit on its activation, and their code range does not end at its bounds."
    why = (
        "Arm's quantizer puts the output qparams of conv -> relu on the relu, on the assumption that the relu fuses "
        "into the convolution's output rescale. A fused activation is nothing but the rescale's saturation, so "
        "fusing is exact only if qmin and qmax are the codes of the activation's bounds (for relu: zero_point == "
        "qmin). A cat downstream breaks that: its inputs share one quantization domain, so a signed branch widens "
        "the relu's range below zero. From 1.5 on FuseQuantizedActivationPass fuses all the same (#21974) and "
        "RewriteConvPass honours no qmin, so the relu is dropped; before, it never looked at the upper bound of a "
        "hardtanh, so a relu6 in a range beyond 6 was dropped instead."
    )
    remedy = (
        "Let fuseguard keep the pair off the accelerator (fuseguard.executorch.guard), or give the anchor output "
        "qparams of its own: insert a quantize/dequantize pair with the activation's qparams between the two, or "
        "quantize the model so that the activation does not share its range with a signed tensor."
    )
    scope = "cluster"
    message = "{activation} is bounded {bounds}, but its qparams range over codes [{qmin}, {qmax}] of {dtype}: {reach}"
    effects = EffectsTable(
        [
            EffectRow("fused", ">=1.5", "*", Effect.WRONG, reference="FuseQuantizedActivationPass, #21974"),
            EffectRow("fused", "<1.5", "*", Effect.WRONG, reference="FuseQuantizedActivationPass: no check of max_val"),
            EffectRow("kept", "*", "INT", Effect.CPU_FALLBACK, reference="CheckProperQuantization"),
            EffectRow("kept", "<1.3", "INT+FP", Effect.CRASH, reference=_NO_QPARAMS),
            EffectRow("kept", ">=1.3", "INT+FP", Effect.EXACT, reference="RewriteConvPass, #18778"),
        ]
    )
    bad = examples.OUT_OF_RANGE
    good = examples.IN_RANGE
    references = ("executorch #21974", "executorch #18778", "executorch #20486", "executorch #12959")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for fusion in fused_activations(view, target):
            # Left unfused behind data movement it is FU102's: another fault, another effect.
            if fusion.expressible or (fusion.chained and not fusion.fused):
                continue
            yield self._report(view, target, fusion)

    def _report(self, view: View, target: Target, fusion: FusedActivation) -> Finding:
        island, qparams = fusion.island, fusion.qparams
        assert island.activation is not None  # fused_activations yields no other
        excess = saturation_excess(fusion) if fusion.fused else 0
        return self.finding(
            view,
            target,
            (island.anchor, island.activation),
            case="fused" if fusion.fused else "kept",
            island=island,
            bound_steps=excess,
            bound_value=excess * qparams.scale,
            qparams=labelled_qparams(view, island),
            activation=island.activation.name,
            bounds=_bounds(fusion),
            qmin=qparams.qmin,
            qmax=qparams.qmax,
            dtype=qparams.dtype,
            reach=_reach(fusion, qparams),
        )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        del target
        return pair_on_anchor(view, finding)


def _bounds(fusion: FusedActivation) -> str:
    """The activation's bounds in real units and codes, the infinite ones left out."""
    assert fusion.island.activation is not None
    minimum, maximum = activation_bounds(fusion.island.activation)
    parts = []
    if math.isfinite(minimum):
        parts.append(f"below by {minimum:g} (code {fusion.low:.0f})")
    if math.isfinite(maximum):
        parts.append(f"above by {maximum:g} (code {fusion.high:.0f})")
    return " and ".join(parts) or "nowhere"


def _reach(fusion: FusedActivation, qparams: QParams) -> str:
    """Which values get past the activation when it is fused."""
    parts = []
    if not fusion.low_fits:
        parts.append(f"values down to {qparams.low:.6g} fit below the lower bound")
    if not fusion.high_fits:
        parts.append(f"values up to {qparams.high:.6g} fit above the upper bound")
    return " and ".join(parts)
