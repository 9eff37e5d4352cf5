"""Examples of OP707, compared-operands-rounded."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8

_SHAPE = (1, 4, 16, 16)


def _pair(target: str, y_scale: float, *, compared: bool = False) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x, y = b.quantized_input("x", _SHAPE, int8(0.0487, 3)), b.quantized_input("y", _SHAPE, int8(y_scale, -5))
        value = b.call(target, x, y, shape=_SHAPE, dtype="bool" if compared else "float32")
        return b.output(value if compared else b.requantize(value, int8(0.0543, 2)))

    return build


BAD = (Example("maximum of two scales", _pair("aten.maximum.default", 0.0311)),)

GOOD = (
    Example("maximum of one scale", _pair("aten.maximum.default", 0.0487)),
    Example("maximum of a scale and its double", _pair("aten.maximum.default", 2 * 0.0487)),
)
