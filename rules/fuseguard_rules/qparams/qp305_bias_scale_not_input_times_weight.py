"""QP305: a bias whose scale is not input scale x weight scale."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import QParams, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.qparams.qp305")

#: Observers multiply float32 scales; a product computed in double precision differs by less than this.
_TOLERANCE = 1e-4


class BiasScale(Rule):
    code = "QP305"
    name = "bias-scale-not-input-times-weight"
    summary = "The bias of a convolution or linear has a scale other than input scale x weight scale."
    why = (
        "TOSA adds the int32 bias to the accumulator, whose scale is input scale times weight scale. RewriteConvPass "
        "passes the stored codes on and never reads the scale of the bias, so a bias with any other scale is added too "
        "large or too small. PT2E derives the scale. A graph that was edited by hand, or requantized at its input "
        "only, does not keep it."
    )
    remedy = (
        "Requantize the bias with scale = input scale * weight scale (per channel: of the same channel) and zero point "
        "0, as DerivedQuantizationSpec does."
    )
    scope = "node"
    message = (
        "{anchor} has a bias of scale {bias:.6g}, but input x weight is {product:.6g}{channel}: off by a factor of "
        "{ratio:.4g}"
    )
    effects = EffectsTable(
        [
            EffectRow("*", "*", "*", Effect.WRONG, reference="RewriteConvPass: the scale of the bias is not read"),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for island in view.islands:
            anchor = island.anchor
            data, weight, bias = (view.in_qp(anchor, position) for position in (0, 1, 2))
            if anchor.kind not in ("conv", "linear") or data is None or weight is None or bias is None:
                continue
            worst = _worst_channel(data, weight, bias)
            if worst is None:
                continue
            channel, product, found = worst
            yield self.finding(
                view,
                target,
                (anchor,),
                case="*",
                island=island,
                anchor=anchor.name,
                bias=found,
                product=product,
                ratio=found / product,
                channel=f" in channel {channel}" if bias.per_channel or weight.per_channel else "",
            )


def _worst_channel(data: QParams, weight: QParams, bias: QParams) -> tuple[int, float, float] | None:
    """Channel, input x weight and scale of the bias where they differ most; None if they agree or are unknown."""
    if data.per_channel or not (data.known and weight.known and bias.known):
        return None
    count = max(len(weight.scales), len(bias.scales))
    if {len(weight.scales), len(bias.scales)} - {1, count}:
        return None  # grouped transposed convolutions count their channels differently
    worst, deviation = None, _TOLERANCE
    for channel in range(count):
        product = data.scale * weight.scales[channel % len(weight.scales)]
        found = bias.scales[channel % len(bias.scales)]
        if product > 0 and abs(found / product - 1) > deviation:
            worst, deviation = (channel, product, found), abs(found / product - 1)
    return worst
