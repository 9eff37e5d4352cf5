"""Examples of DT504, internal-uint8."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.engine import Example
from fuseguard.ir import Graph, QParams
from fuseguard.ir.builder import GraphBuilder, int8

_SHAPE = (1, 4, 4, 4)
_IN, _OUT = int8(0.0487, 3), int8(0.0713, 2)


def uint8(scale: float, zero_point: int) -> QParams:
    return QParams.per_tensor(scale, zero_point, 0, 255, "uint8")


def uint8_conv(data: QParams, out: QParams, *, entry: str = "same") -> Callable[[], Graph]:
    """A conv in int8 or uint8. ``entry``: what reaches it, its own codes (``same``), codes requantized from a float
    that was quantized to uint8 (``float``), from a uint8 input of the program (``uint8``, which ends in uint8 too,
    as the quantizer's set_io makes it), or such an input itself (``raw``).
    """

    def build() -> Graph:
        b = GraphBuilder()
        if entry == "raw":
            x = b.dequantize(b.input("x", _SHAPE, "uint8"), data)
        elif entry == "uint8":
            x = b.requantize(b.dequantize(b.input("x", _SHAPE, "uint8"), data), _IN)
        else:
            x = b.quantized_input("x", _SHAPE, data)
            x = x if entry == "same" else b.requantize(x, _IN)
        weight = b.quantized_constant("weight", (4, 4, 1, 1), 0.01031)
        value = b.call("aten.conv2d.default", x, weight, None, shape=_SHAPE)
        if entry != "uint8":
            return b.output(b.requantize(value, out))
        return b.output(b.quantize(b.requantize(value, _OUT), out))

    return build


def _unary(target: str, qparams: QParams, out: QParams, *args: object) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", _SHAPE, qparams)
        return b.output(b.requantize(b.call(target, x, *args, shape=_SHAPE), out))  # type: ignore[arg-type]

    return build


def _between() -> Graph:
    b = GraphBuilder()
    x, y = b.quantized_input("x", _SHAPE, _IN), b.quantized_input("y", _SHAPE, int8(0.0311, -5))
    value = b.requantize(b.call("aten.add.Tensor", x, y), uint8(0.0487, 128))
    return b.output(b.requantize(b.call("aten.mul.Tensor", value, y), _OUT))


def _cat(annotated: bool) -> Graph:
    """Two uint8 inputs, as quantized I/O has them, joined by a cat."""
    b = GraphBuilder()
    x, y = (b.dequantize(b.input(name, _SHAPE, "uint8"), uint8(0.0487, 131)) for name in ("x", "y"))
    value = b.call("aten.cat.default", (x, y), 1, shape=(1, 8, 4, 4), annotated=annotated)
    return b.output(b.requantize(value, uint8(0.0487, 131)))


def _permute_in_float() -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", _SHAPE, uint8(0.0487, 131))
    value = b.call("aten.permute.default", x, (0, 2, 1, 3), annotated=False)
    return b.output(b.requantize(value, uint8(0.0487, 131)))


BAD = (
    Example("uint8 into a conv", uint8_conv(uint8(0.0487, 131), _OUT)),
    Example("uint8 out of a conv", uint8_conv(_IN, uint8(0.0713, 131))),
    Example("uint8 through a sigmoid", _unary("aten.sigmoid.default", uint8(0.0487, 131), uint8(1 / 256, 0))),
    Example("uint8 between add and mul", _between),
    Example(
        "uint8 through a permute",
        _unary("aten.permute.default", uint8(0.0487, 131), uint8(0.0487, 131), (0, 2, 1, 3)),
    ),
    Example(
        "float input quantized to uint8, int8 at the conv",
        uint8_conv(uint8(0.0487, 131), _OUT, entry="float"),
    ),
    Example("uint8 inputs into a cat", lambda: _cat(True)),
    Example("uint8 inputs into a cat that is not quantized", lambda: _cat(False), companions=("PL404",)),
    Example("uint8 through a permute that is not quantized", _permute_in_float, companions=("PL404",)),
    Example("uint8 input straight into a conv", uint8_conv(uint8(0.0487, 131), _OUT, entry="raw")),
)

GOOD = (Example("int8 throughout", uint8_conv(_IN, _OUT)),)
