"""Examples of QP303, illegal-zero-point."""

from __future__ import annotations

from fuseguard.engine import Example
from fuseguard.ir import Graph, QParams
from fuseguard.ir.builder import GraphBuilder, full_int16, int8

_SHAPE = (1, 4, 4, 4)
_INT16 = ("int16",)


def _between_adds(middle: QParams) -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", _SHAPE, full_int16(0.000187))
    y = b.quantized_input("y", _SHAPE, full_int16(0.000311))
    value = b.requantize(b.call("aten.add.Tensor", x, y), middle)
    return b.output(b.requantize(b.call("aten.mul.Tensor", value, y), full_int16(0.000713)))


def _permuted(qparams: QParams) -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", _SHAPE, qparams)
    return b.output(b.requantize(b.call("aten.permute.default", x, (0, 2, 1, 3)), qparams))


def _after_float(qparams: QParams, *readers: str, annotated: bool = True) -> Graph:
    """A product of floats, quantized, and perhaps ops on it, the last one symmetric again."""
    b = GraphBuilder()
    x = b.input("x", _SHAPE)
    value = b.requantize(b.call("aten.mul.Tensor", x, x, annotated=False), qparams)
    for target in readers:
        value = b.call(target, value, annotated=annotated)
        value = b.requantize(value, full_int16(0.000187)) if annotated else value
    return b.output(value)


def _requantized(before: QParams, after: QParams) -> Graph:
    b = GraphBuilder()
    value = b.call("aten.permute.default", b.quantized_input("x", _SHAPE, before), (0, 2, 1, 3))
    return b.output(b.requantize(b.requantize(value, before), after))


def _conv(zero_point: int) -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", _SHAPE, int8(0.0487, 3))
    weight = b.quantized_constant("weight", (4, 4, 1, 1), 0.01031)
    stored = QParams.per_tensor(0.0487 * 0.01031, zero_point, -(2**31) + 1, 2**31 - 1, "int32")
    bias = b.dequantize(b.constant("bias", (4,), "int32"), stored)
    return b.output(b.requantize(b.call("aten.conv2d.default", x, weight, bias, shape=_SHAPE), int8(0.0713, 2)))


def _wide_conv(qparams: QParams) -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", _SHAPE, qparams)
    weight = b.quantized_constant("weight", (4, 4, 1, 1), 0.01031)
    value = b.call("aten.conv2d.default", x, weight, None, shape=_SHAPE)
    return b.output(b.requantize(value, full_int16(0.000713)))


BAD = (
    Example("int16 zero point 7 after an add", lambda: _between_adds(full_int16(0.000287, 7)), extensions=_INT16),
    Example("int16 zero point 7 through a permute", lambda: _permuted(full_int16(0.000187, 7)), extensions=_INT16),
    Example(
        "int16 requantized to zero point 7",
        lambda: _requantized(full_int16(0.000187), full_int16(0.000187, 7)),
        extensions=_INT16,
    ),
    Example(
        "int16 zero point 7 requantized to 0",
        lambda: _requantized(full_int16(0.000187, 7), full_int16(0.000187)),
        extensions=_INT16,
    ),
    Example(
        "int16 zero point 7 of a float op's result into an abs",
        lambda: _after_float(full_int16(0.000187, 7), "aten.abs.default"),
        extensions=_INT16,
    ),
    Example("bias with zero point 500", lambda: _conv(500)),
    Example("int16 zero point 7 into a conv", lambda: _wide_conv(full_int16(0.000187, 7)), extensions=_INT16),
)

GOOD = (
    Example("symmetric int16 between add and mul", lambda: _between_adds(full_int16(0.000287)), extensions=_INT16),
    Example("symmetric bias", lambda: _conv(0)),
    Example(
        "int16 zero point 7 of a float op's result",
        lambda: _after_float(full_int16(0.000187, 7)),
        extensions=_INT16,
    ),
    Example(
        "int16 zero point 7 between float ops",
        lambda: _after_float(full_int16(0.000187, 7), "aten.exp.default", annotated=False),
        extensions=_INT16,
    ),
)
