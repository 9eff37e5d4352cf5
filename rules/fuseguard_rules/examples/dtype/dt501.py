"""Examples of DT501, mixed-dtype-in-one-op."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.engine import Example
from fuseguard.ir import Graph, QParams
from fuseguard.ir.builder import GraphBuilder, full_int16, int8

_INT16 = ("int16",)
_SHAPE = (1, 4, 4, 4)
_NARROW = int8(0.0487, 3)
_WIDE = full_int16(0.000187)
_RESULT = int8(0.1713, 2)


def _pair(target: str, y: QParams, *, listed: bool = False) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        left, right = b.quantized_input("x", _SHAPE, _NARROW), b.quantized_input("y", _SHAPE, y)
        if listed:
            value = b.call(target, (left, right), 1, shape=(1, 8, 4, 4))
        else:
            value = b.call(target, left, right)
        return b.output(b.requantize(value, _NARROW if listed else int8(0.0713, 2)))

    return build


def _bmm(y: QParams, x: QParams = _NARROW, result: QParams = _RESULT) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        left, right = b.quantized_input("x", (1, 4, 4), x), b.quantized_input("y", (1, 4, 4), y)
        return b.output(b.requantize(b.call("aten.bmm.default", left, right), result))

    return build


def _conv(weight: str) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", _SHAPE, _WIDE)
        w = b.quantized_constant("weight", (4, 4, 1, 1), 0.01031 if weight == "int8" else 0.0001031, weight)
        value = b.call("aten.conv2d.default", x, w, None, shape=_SHAPE)
        return b.output(b.requantize(value, full_int16(0.000713)))

    return build


BAD = (
    Example("add of int8 and int16", _pair("aten.add.Tensor", _WIDE), extensions=_INT16),
    Example(
        "cat of int8 and int16",
        _pair("aten.cat.default", _WIDE, listed=True),
        companions=("QD203",),
        extensions=_INT16,
    ),
    Example("bmm of int8 and int16", _bmm(_WIDE), extensions=_INT16),
    Example("conv with int16 weights", _conv("int16"), extensions=_INT16),
    Example("bmm of int16 quantized to int8", _bmm(_WIDE, _WIDE), extensions=_INT16),
    Example("bmm of int16 quantized to int8 around 0", _bmm(_WIDE, _WIDE, int8(0.1713, 0)), extensions=_INT16),
    Example("bmm of int8 quantized to int16", _bmm(_NARROW, result=full_int16(0.000713)), extensions=_INT16),
)

GOOD = (
    Example("bmm of int16 quantized to int16", _bmm(_WIDE, _WIDE, full_int16(0.000713)), extensions=_INT16),
    Example("mul of int8 and int16", _pair("aten.mul.Tensor", _WIDE), extensions=_INT16),
    Example("maximum of int8 and int16", _pair("aten.maximum.default", _WIDE), extensions=_INT16),
    Example("add of int8 and int8", _pair("aten.add.Tensor", int8(0.0311, -5))),
    Example("int16 conv with int8 weights", _conv("int8"), extensions=_INT16),
)
