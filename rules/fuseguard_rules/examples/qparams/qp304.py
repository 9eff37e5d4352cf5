"""Examples of QP304, impossible-qparams."""

from __future__ import annotations

import math
from collections.abc import Callable

from fuseguard.engine import Example
from fuseguard.ir import Graph, QParams
from fuseguard.ir.builder import GraphBuilder, int8

_SHAPE = (1, 4, 4, 4)


def _between_adds(middle: QParams) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", _SHAPE, int8(0.0487, 3))
        y = b.quantized_input("y", _SHAPE, int8(0.0311, -5))
        value = b.requantize(b.call("aten.add.Tensor", x, y), middle)
        return b.output(b.requantize(b.call("aten.mul.Tensor", value, y), int8(0.0713, 2)))

    return build


def _into_conv(data: QParams) -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", _SHAPE, data)
    weight = b.quantized_constant("weight", (4, 4, 1, 1), 0.01031)
    return b.output(b.requantize(b.call("aten.conv2d.default", x, weight, None, shape=_SHAPE), int8(0.0713, 2)))


def _requantized(after: QParams) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        value = b.call("aten.permute.default", b.quantized_input("x", _SHAPE, int8(0.0487, 3)), (0, 2, 1, 3))
        return b.output(b.requantize(b.requantize(value, int8(0.0487, 3)), after))

    return build


def _float_into_permute(qparams: QParams) -> Graph:
    b = GraphBuilder()
    x = b.input("x", _SHAPE)
    value = b.requantize(b.call("aten.mul.Tensor", x, x, annotated=False), qparams)
    return b.output(b.requantize(b.call("aten.permute.default", value, (0, 2, 1, 3)), qparams))


def _into_sigmoid(data: QParams) -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", _SHAPE, data)
    return b.output(b.requantize(b.call("aten.sigmoid.default", x), int8(1 / 256, -128)))


BAD = (
    Example("negative scale between add and mul", _between_adds(int8(-0.0487))),
    Example("NaN scale between add and mul", _between_adds(int8(math.nan))),
    Example("infinite scale between add and mul", _between_adds(int8(math.inf))),
    Example("subnormal scale between add and mul", _between_adds(int8(1e-41))),
    Example("zero point 200 of an int8 between add and mul", _between_adds(int8(0.0487, 200))),
    Example("zero point 200 of an int8 into a conv", lambda: _into_conv(int8(0.0487, 200))),
    Example("zero point 200 of an int8 into a sigmoid", lambda: _into_sigmoid(int8(0.0487, 200))),
    Example("negative scale into a sigmoid", lambda: _into_sigmoid(int8(-0.0487))),
    Example("zero point 200 of a float op's result", lambda: _float_into_permute(int8(0.0487, 200))),
    Example("int8 requantized to zero point 200", _requantized(int8(0.0487, 200))),
    Example("int8 requantized to a negative scale", _requantized(int8(-0.0487, 3))),
    Example("qmin above qmax between add and mul", _between_adds(int8(0.0487, 0, 127, -128))),
)

GOOD = (
    Example("healthy add and mul", _between_adds(int8(0.0487, -17))),
    Example("zero point at the end of int8 into a conv", lambda: _into_conv(int8(0.0487, -128))),
)
