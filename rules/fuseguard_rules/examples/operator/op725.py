"""Examples of OP725, activation-bounds-omitted."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8

_SHAPE = (1, 4, 8, 8)
_QPARAMS = int8(0.0187, 3)


def _graph(*bounds: float, quantized: bool = True, after_conv: bool = False) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        value = b.quantized_input("x", _SHAPE, _QPARAMS) if quantized else b.input("x", _SHAPE)
        if after_conv:
            weight = b.quantized_constant("weight", (4, 4, 1, 1), 0.0103)
            value = b.requantize(b.call("aten.conv2d.default", value, weight, None, shape=_SHAPE), _QPARAMS)
        value = b.call("aten.hardtanh.default", value, *bounds, shape=_SHAPE, annotated=quantized)
        return b.output(b.requantize(value, _QPARAMS) if quantized else value)

    return build


BAD = (
    Example("hardtanh without bounds", _graph()),
    Example("hardtanh with a lower bound alone", _graph(-0.5)),
    Example("hardtanh without bounds after a convolution", _graph(after_conv=True)),
    Example("hardtanh without bounds, in float", _graph(quantized=False)),
)

GOOD = (Example("hardtanh with both bounds", _graph(-1.0, 1.0)),)
