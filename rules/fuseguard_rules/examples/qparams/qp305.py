"""Examples of QP305, bias-scale-not-input-times-weight."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8

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


BAD = (
    Example("bias three times too coarse", _conv(_WEIGHTS[0], 3 * _INPUT * _WEIGHTS[0])),
    Example("bias of a linear three times too coarse", lambda: _linear(3 * _INPUT * _WEIGHTS[0])),
)

GOOD = (
    Example("bias derived from input and weight", _conv(_WEIGHTS[0], _INPUT * _WEIGHTS[0])),
    Example("bias derived per channel", _conv(_WEIGHTS, tuple(_INPUT * scale for scale in _WEIGHTS))),
    Example("bias of a linear derived", lambda: _linear(_INPUT * _WEIGHTS[0])),
)
