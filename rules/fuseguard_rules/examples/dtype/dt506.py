"""Examples of DT506, interpolated-table."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.engine import Example
from fuseguard.ir import Graph, QParams
from fuseguard.ir.builder import GraphBuilder, full_int16, int8
from fuseguard_rules.examples.dtype import softmax_graphs as graphs

_INT16 = ("int16",)


def _unary(target: str, data: QParams, out: QParams) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", (1, 4, 4, 4), data)
        return b.output(b.requantize(b.call(target, x), out))

    return build


def _square() -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 16, 16, 16), full_int16(2.0**-12))
    return b.output(b.requantize(b.call("aten.pow.Tensor_Scalar", x, 2), full_int16(0.000257)))


BAD = (
    Example(
        "int16 sin over two and a half periods",
        _unary("aten.sin.default", full_int16(0.00023968), full_int16(1 / 32767)),
        extensions=_INT16,
    ),
    Example("int16 square that saturates", _square, extensions=_INT16),
    Example(
        "int16 hardswish",
        _unary("aten.hardswish.default", full_int16(0.00023), full_int16(0.00023)),
        extensions=_INT16,
    ),
    Example(
        "A16W8 rsqrt of stored variances of 0.3 to 2",
        graphs.ordinary_variances,
        extensions=_INT16,
    ),
)

GOOD = (
    Example("int8 sin", _unary("aten.sin.default", int8(0.0487, 3), int8(1 / 127))),
    Example(
        "int16 sigmoid over its own range",
        _unary("aten.sigmoid.default", full_int16(0.000287), full_int16(1 / 32767)),
        extensions=_INT16,
    ),
)
