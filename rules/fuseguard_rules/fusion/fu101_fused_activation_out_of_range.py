"""FU101: an activation fused into its anchor although the shared qparams cannot express its bounds."""

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
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import View, activation_bounds
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.fusion.islands")

if TYPE_CHECKING:
    from fuseguard.ir.qparams import QParams

_NO_QPARAMS = "RewriteConvPass: No output quantization parameter found"


class FusedActivationOutOfRange(Rule):
    code = "FU101"
    name = "fused-activation-out-of-range"
    summary = (
        "An anchor's output qparams sit on its activation, and their code range does not end at the activation's "
        "bounds."
    )
    why = (
        "Arm's quantizer puts the output qparams of conv -> relu on the relu, because it assumes that the relu fuses "
        "into the convolution's output rescale. A fused activation is only the saturation of that rescale. Fusing is "
        "therefore exact only if qmin and qmax are the codes of the activation's bounds (for relu: zero_point == "
        "qmin). A cat downstream breaks this: its inputs share one quantization domain, so a signed branch widens the "
        "relu's range below zero. From 1.5 on, FuseQuantizedActivationPass fuses anyway (#21974) and RewriteConvPass "
        "ignores qmin, so the relu is dropped. Before 1.5, the pass never checked the upper bound of a hardtanh, so a "
        "relu6 whose range reaches beyond 6 was dropped instead."
    )
    remedy = (
        "Give the anchor its own output qparams: insert a quantize/dequantize pair with the activation's qparams "
        "between the two (repair). Or let fuseguard keep the two off the accelerator (guard). Or quantize the model "
        "so that the activation does not share its range with a signed tensor."
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
            # An activation left unfused after data movement is FU102's: a different fault with a different effect.
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
    """The activation's bounds in real units and codes, without the infinite ones."""
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
