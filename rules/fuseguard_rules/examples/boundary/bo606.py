"""Examples of BO606, outputs-share-value."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.graph import Arg

if TYPE_CHECKING:
    import torch

_SHAPE = (1, 4, 4, 4)
_QPARAMS = int8(0.0487, 3)


def _after_conv(target: str, *args: Arg, shape: tuple[int, ...] = _SHAPE) -> Callable[[], Graph]:
    """The result of a convolution, and the result of an op on it, with the same qparams."""

    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", (1, 3, 4, 4), int8(0.0391, 7))
        weight = b.quantized_constant("weight", (4, 3, 1, 1), 0.0103)
        codes = b.quantize(b.call("aten.conv2d.default", x, weight, None, shape=_SHAPE), _QPARAMS)
        value = b.call(target, b.dequantize(codes, _QPARAMS), *args, shape=shape)
        return b.output(b.dequantize(codes, _QPARAMS), b.requantize(value, _QPARAMS))

    return build


def _twice(target: str, other: str | None = None) -> Callable[[], Graph]:
    """Two ops on one input."""

    def build() -> Graph:
        b = GraphBuilder()
        codes = b.quantize(b.input("x", _SHAPE), _QPARAMS)
        values = [b.call(name, b.dequantize(codes, _QPARAMS)) for name in (target, other or target)]
        return b.output(*(b.requantize(value, int8(0.00391, -128)) for value in values))

    return build


def _added_twice() -> Graph:
    """Two sums of the same two values, with the same qparams."""
    b = GraphBuilder()
    x, y = (b.quantize(b.input(name, _SHAPE), _QPARAMS) for name in ("x", "y"))
    sums = [
        b.call("aten.add.Tensor", b.dequantize(x, _QPARAMS), b.dequantize(y, _QPARAMS), shape=_SHAPE) for _ in range(2)
    ]
    return b.output(*(b.requantize(value, int8(0.0971, 3)) for value in sums))


def _returned_twice() -> Graph:
    b = GraphBuilder()
    value = b.requantize(b.call("aten.sigmoid.default", b.quantized_input("x", _SHAPE, _QPARAMS)), int8(0.00391, -128))
    return b.output(value, value)


def _program() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    from fuseguard_rules.examples.boundary.modules import with_and_without_dropout

    return with_and_without_dropout()


BAD = (
    Example("a convolution with and without dropout", _after_conv("aten.dropout.default", 0.5, False), _program),
    Example("a convolution and its clone", _after_conv("aten.clone.default")),
    Example("a convolution and its view to the same shape", _after_conv("aten.view.default", _SHAPE)),
    Example("a convolution and all of its slices", _after_conv("aten.slice.Tensor", 1, 0, 4)),
    Example("a convolution and its permute to the same order", _after_conv("aten.permute.default", (0, 1, 2, 3))),
    Example("the same sigmoid twice", _twice("aten.sigmoid.default")),
    Example("the same sum of two values twice", _added_twice),
)

GOOD = (
    Example("a convolution and its view to another shape", _after_conv("aten.view.default", (1, 64), shape=(1, 64))),
    Example("the same tensor returned twice", _returned_twice),
    Example("a sigmoid and a tanh", _twice("aten.sigmoid.default", "aten.tanh.default")),
)
