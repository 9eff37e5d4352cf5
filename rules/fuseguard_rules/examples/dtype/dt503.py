"""Examples of DT503, lookup-table-width."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.engine import Example
from fuseguard.ir import Graph, QParams
from fuseguard.ir.builder import GraphBuilder, full_int16, int8
from fuseguard_rules.examples.dtype import softmax_graphs as graphs

_INT16 = ("int16",)
_SHAPE = (1, 4, 4, 4)


def _unary(target: str, data: QParams, out: QParams) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", _SHAPE, data)
        return b.output(b.requantize(b.call(target, x), out))

    return build


BAD = (
    Example(
        "sigmoid from int8 to int16",
        _unary("aten.sigmoid.default", int8(0.0487, 3), full_int16(1 / 32768)),
        extensions=_INT16,
    ),
    Example(
        "sigmoid from int16 to int8",
        _unary("aten.sigmoid.default", full_int16(0.000187), int8(1 / 256, -128)),
        extensions=_INT16,
    ),
    Example(
        "int16 sigmoid in a range of 400",
        _unary("aten.sigmoid.default", full_int16(0.000187), full_int16(400 / 32767)),
        only_on="<1.4",
        extensions=_INT16,
    ),
    Example(
        "int16 exp whose last codes are steep",
        _unary("aten.exp.default", full_int16(0.0001), full_int16(27 / 32767)),
        only_on="<1.5",
        extensions=_INT16,
    ),
    Example(
        "int16 sin over thirty periods",
        _unary("aten.sin.default", full_int16(0.00301), full_int16(1 / 32767)),
        extensions=_INT16,
    ),
    Example(
        "A16W8 softmax of masked values, whose steps are 1/127",
        graphs.masked,
        graphs.module("masked_softmax"),
        companions=("DT506",),
        extensions=_INT16,
        config="a16w8",
    ),
    Example(
        "A16W8 rsqrt of stored variances down to 0.0001",
        graphs.tiny_variances,
        graphs.module("tiny_norm"),
        companions=("QP306",),
        extensions=_INT16,
        config="a16w8",
    ),
)

GOOD = (
    Example("int8 sigmoid", _unary("aten.sigmoid.default", int8(0.0487, 3), int8(1 / 256, -128))),
    Example(
        "int16 sigmoid over its own range",
        _unary("aten.sigmoid.default", full_int16(0.000287), full_int16(1 / 32767)),
        extensions=_INT16,
    ),
    Example(
        "A16W8 softmax, whose exp reads no code above 0 and whose reciprocal none below 1",
        graphs.plain,
        graphs.module("rows_of_softmax"),
        extensions=_INT16,
        config="a16w8",
    ),
)
