"""Examples of OP711, repeated-operand-lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8

if TYPE_CHECKING:
    import torch


_SHAPE, _QPARAMS = (1, 1, 8, 8), int8(0.0487, 3)


def _graph(
    parts: str, reader: str, *between: str, shape: tuple[int, ...] = _SHAPE, dim: int = 1
) -> Callable[[], Graph]:
    """A cat of ``parts`` (one letter an input, t a tanh of x made again each time), perhaps ops, and a ``reader``."""

    def build() -> Graph:
        b = GraphBuilder()
        codes = {name: b.quantize(b.input(name, shape), _QPARAMS) for name in sorted({*parts.replace("t", "x")})}
        values = []
        for name in parts:
            value = b.dequantize(codes["x" if name == "t" else name], _QPARAMS)
            values.append(b.requantize(b.call("aten.tanh.default", value), _QPARAMS) if name == "t" else value)
        joint = tuple(size * (len(parts) if axis == dim else 1) for axis, size in enumerate(shape))
        value = b.requantize(b.call("aten.cat.default", tuple(values), dim, shape=joint), _QPARAMS)
        for target in between:
            value = b.requantize(b.call(target, value), _QPARAMS)
        channels, rest = joint[1], joint[2:]
        if reader == "conv":
            weight = b.quantized_constant("weight", (4, channels, *(1 for _ in rest)), 0.0103)
            value = b.call(f"aten.conv{len(rest)}d.default", value, weight, None, shape=(joint[0], 4, *rest))
        elif reader == "pool":
            shrunk = (*joint[:2], *(size // 2 for size in rest))
            value = b.call("aten.max_pool2d.default", value, (2, 2), (2, 2), shape=shrunk)
        elif reader == "permute":
            value = b.call("aten.permute.default", value, (0, 2, 3, 1), shape=(joint[0], *rest, channels))
        return b.output(b.requantize(value, int8(0.0971, -2) if reader == "conv" else _QPARAMS))

    return build


def _program() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    from fuseguard_rules.examples.operator.modules import grey_as_rgb

    return grey_as_rgb()


BAD = (
    Example("grey as RGB in front of conv2d", _graph("xxx", "conv"), _program, only_on=">=1.4"),
    Example("x with itself in front of max_pool2d", _graph("xx", "pool"), only_on=">=1.4"),
    Example("x with itself and a tanh, in front of a permute", _graph("xx", "permute", "aten.tanh.default"),
            only_on=">=1.4"),
    Example("x, y and x again in front of a permute", _graph("xyx", "permute"), only_on=">=1.4"),
    Example("the same tanh made twice, in front of conv2d", _graph("tt", "conv"), only_on=">=1.4"),
    Example("x with itself in front of conv1d", _graph("xx", "conv", shape=(1, 1, 8)), only_on=">=1.5"),
)  # fmt: skip

GOOD = (
    Example("x with y in front of conv2d", _graph("xy", "conv")),
    Example("four channels with themselves in front of conv2d", _graph("xx", "conv", shape=(1, 4, 8, 8))),
    Example("x with itself along its height, in front of max_pool2d", _graph("xx", "pool", dim=2)),
    Example("x with itself, and a tanh", _graph("xx", "", "aten.tanh.default")),
)
