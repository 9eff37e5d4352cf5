"""Examples of OP705, grouped-conv3d-undecomposed."""

from __future__ import annotations

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8


def _conv3d(groups: int) -> Graph:
    b = GraphBuilder()
    shape = (1, 2, 4, 6, 6)
    x = b.quantized_input("x", shape, int8(0.0487, 3))
    w = b.quantized_constant("weight", (2, 2 // groups, 3, 3, 3), 0.01031)
    bias = b.quantized_constant("bias", (2,), 0.0487 * 0.01031, "int32")
    ones = (1, 1, 1)
    value = b.call("aten.conv3d.default", x, w, bias, ones, ones, ones, groups, shape=shape)
    return b.output(b.requantize(value, int8(0.0517, -17)))


BAD = (Example("depthwise conv3d", lambda: _conv3d(2), only_on="<1.4"),)

GOOD = (Example("conv3d without groups", lambda: _conv3d(1)),)
