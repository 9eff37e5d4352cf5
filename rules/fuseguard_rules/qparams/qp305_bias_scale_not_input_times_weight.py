"""QP305: a bias whose scale is not input scale times weight scale."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from fuseguard.engine import Effect, EffectRow, EffectsTable, Example, Finding, Rule
from fuseguard.ir import Graph, QParams, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target

#: Observers multiply float32 scales; a product computed in double differs by less than this.
_TOLERANCE = 1e-4
_SHAPE = (1, 4, 4, 4)
_INPUT = 0.0487
_WEIGHTS = (0.01031, 0.0203, 0.0151, 0.0113)


def _conv(weight: float | Sequence[float], bias: float | Sequence[float]) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", _SHAPE, int8(_INPUT, 3))
        w = b.quantized_constant("weight", (4, 4, 1, 1), weight)
        stored = b.quantized_constant("bias", (4,), bias, "int32")
        value = b.call("aten.conv2d.default", x, w, stored, shape=_SHAPE)
        return b.output(b.requantize(value, int8(0.0713, 2)))

    return build


def _linear(bias: float) -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", (4, 8), int8(_INPUT, 3))
    w = b.quantized_constant("weight", (8, 8), _WEIGHTS[0])
    stored = b.quantized_constant("bias", (8,), bias, "int32")
    return b.output(b.requantize(b.call("aten.linear.default", x, w, stored, shape=(4, 8)), int8(0.0713, 2)))


class BiasScale(Rule):
    code = "QP305"
    name = "bias-scale-not-input-times-weight"
    summary = "The bias of a convolution or linear is quantized with another scale than input scale x weight scale."
    why = (
        "TOSA adds the int32 bias to the accumulator, whose scale is input scale times weight scale. RewriteConvPass "
        "passes the stored codes on and never reads the scale of the bias, so a bias in any other scale is added "
        "too large or too small. PT2E derives the scale; a graph edited by hand, or requantized at its input only, "
        "does not keep it."
    )
    remedy = (
        "Requantize the bias with scale = input scale * weight scale (per channel: of the same channel) and zero point "
        "0, as DerivedQuantizationSpec does."
    )
    scope = "node"
    message = (
        "{anchor} has a bias of scale {bias:.6g}, but input x weight is {product:.6g}{channel}: off {ratio:.4g} times"
    )
    effects = EffectsTable(
        [
            EffectRow("*", "*", "*", Effect.WRONG, reference="RewriteConvPass: the scale of the bias is not read"),
        ]
    )
    bad = (
        Example("bias three times too coarse", _conv(_WEIGHTS[0], 3 * _INPUT * _WEIGHTS[0])),
        Example("bias of a linear three times too coarse", lambda: _linear(3 * _INPUT * _WEIGHTS[0])),
    )
    good = (
        Example("bias derived from input and weight", _conv(_WEIGHTS[0], _INPUT * _WEIGHTS[0])),
        Example("bias derived per channel", _conv(_WEIGHTS, tuple(_INPUT * scale for scale in _WEIGHTS))),
        Example("bias of a linear derived", lambda: _linear(_INPUT * _WEIGHTS[0])),
    )

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
        return None  # grouped transposed convolutions count their channels otherwise
    worst, deviation = None, _TOLERANCE
    for channel in range(count):
        product = data.scale * weight.scales[channel % len(weight.scales)]
        found = bias.scales[channel % len(bias.scales)]
        if product > 0 and abs(found / product - 1) > deviation:
            worst, deviation = (channel, product, found), abs(found / product - 1)
    return worst
