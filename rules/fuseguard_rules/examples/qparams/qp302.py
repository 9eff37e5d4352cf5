"""Examples of QP302, scale-ratio-out-of-range."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.engine import Example
from fuseguard.ir import Graph, QParams
from fuseguard.ir.builder import GraphBuilder, full_int16, int8

_SHAPE = (1, 4, 4, 4)


def _binary(target: str, x_scale: float, y_scale: float, out: float | None) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", _SHAPE, int8(x_scale, 3))
        y = b.quantized_input("y", _SHAPE, int8(y_scale, -5))
        value = b.call(target, x, y, dtype="float32" if out is not None else "bool")
        return b.output(value if out is None else b.requantize(value, int8(out, 2)))

    return build


def _conv(data: QParams, out: QParams) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", _SHAPE, data)
        weight = b.quantized_constant("weight", (4, 4, 1, 1), 0.01031)
        return b.output(b.requantize(b.call("aten.conv2d.default", x, weight, None, shape=_SHAPE), out))

    return build


def _half_requantized(out: QParams) -> Graph:
    """Halves of a split: one is requantized, the other goes out as it is."""
    b = GraphBuilder()
    halves = b.call("aten.split.Tensor", b.quantized_input("x", (1, 8, 4, 4), int8(0.0487, 3)), 4, 1)
    parts = [b.call("operator.getitem", halves, number, shape=_SHAPE) for number in (0, 1)]
    first, second = (b.requantize(part, int8(0.0487, 3)) for part in parts)
    return b.output(b.requantize(first, out), second)


def _sum(out: float) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", _SHAPE, int8(0.0487, 3))
        value = b.call("aten.sum.dim_IntList", x, (1,), True, shape=(1, 1, 4, 4))
        return b.output(b.requantize(value, int8(out, 2)))

    return build


def _scaled(out: float) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", _SHAPE, full_int16(0.000287))
        factor = b.quantized_constant("factor", (1, 4, 1, 1), 2.0**-12, dtype="int16")
        return b.output(b.requantize(b.call("aten.mul.Tensor", x, factor, shape=_SHAPE), full_int16(out)))

    return build


BAD = (
    Example("maximum of operands 2**22 apart", _binary("aten.maximum.default", 0.0487 / 2**22, 0.0487, 0.0513)),
    Example("comparison of operands 2**25 apart", _binary("aten.gt.Tensor", 0.0487 / 2**25, 0.0487, None)),
    Example("add whose output scale is 1e-9", _binary("aten.add.Tensor", 0.0487, 0.0311, 1e-9)),
    Example("mul whose output scale is 2**-30 of its inputs'", _binary("aten.mul.Tensor", 48.7, 31.1, 1e-6)),
    Example("conv whose output scale is 1e-13", _conv(int8(0.0487, 3), int8(1e-13, 2))),
    Example("conv whose output scale is 1e-9", _conv(int8(0.0487, 3), int8(1e-9, 2))),
    Example("half of a split, requantized to a scale of 1e-9", lambda: _half_requantized(int8(1e-9, 3))),
    Example("sum whose output scale is 1e-9", _sum(1e-9)),
    Example(
        "A16W8 conv, output scale 1e-9",
        _conv(full_int16(0.000187), full_int16(1e-9)),
        extensions=("int16",),
    ),
    Example(
        "int16 mul by constants at the observer's floor, output scale 1e-10",
        _scaled(1e-10),
        extensions=("int16",),
    ),
    Example(
        "A16W8 conv, output scale 1e-10",
        _conv(full_int16(0.000187), full_int16(1e-10)),
        extensions=("int16",),
    ),
)

GOOD = (
    Example("maximum of operands 2**20 apart", _binary("aten.maximum.default", 0.0487 / 2**20, 0.0487, 0.0513)),
    Example("add of operands 2**30 apart", _binary("aten.add.Tensor", 0.0487 / 2**30, 0.0487, 0.0513)),
    Example("conv whose output scale is a 16th of its products'", _conv(int8(0.0487, 3), int8(0.0000314, 2))),
    Example("sum whose output scale is a sixteenth of its input's", _sum(0.0487 / 16)),
    Example("mul whose product vanishes", _binary("aten.mul.Tensor", 4.87e-5, 3.11e-5, 1e9)),
)
