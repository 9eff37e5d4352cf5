"""Examples of OP708, permute-lands-on-scalar."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8

if TYPE_CHECKING:
    import torch


_SHAPE, _ONE = (1, 4, 6, 8), (1, 1, 1, 1)


def _graph(*ops: str, first: bool = True) -> Callable[[], Graph]:
    """Ops in a row; those of two operands have a constant as the first one, or as the second one unless ``first``."""

    def build() -> Graph:
        b = GraphBuilder()
        qparams = int8(0.0487, 3)
        value, shape = b.quantized_input("x", _SHAPE, qparams), _SHAPE
        for number, op in enumerate(ops):
            if op == "conv":
                weight = b.quantized_constant(f"weight_{number}", (shape[1], shape[1], 1, 1), 0.0103)
                made = b.call("aten.conv2d.default", value, weight, None, shape=shape)
            elif op == "permute":
                shape = (shape[0], shape[2], shape[3], shape[1])
                made = b.call("aten.permute.default", value, (0, 2, 3, 1), shape=shape)
            elif op == "log_sigmoid":
                made = b.call("aten.log_sigmoid.default", value, shape=shape, annotated=False)
            elif op in ("neg", "clone"):
                made = b.call(f"aten.{op}.default", value, shape=shape)
            else:
                # Of one scale with x where the scales would be compared: OP707 is another fault.
                scale = 0.0487 if op in ("maximum.default", "minimum.default") else 0.0079
                constant = b.dequantize(b.constant(f"number_{number}", _ONE), int8(scale))
                operands = (constant, value) if first else (value, constant)
                made = b.call(f"aten.{op}", *operands, shape=shape)
            value = b.requantize(made, qparams)
        return b.output(value)

    return build


def _beside(*ops: str) -> Callable[[], Graph]:
    """A convolution that is subtracted from a number, and beside it read by ``ops`` in a row."""

    def build() -> Graph:
        b = GraphBuilder()
        qparams, shape = int8(0.0487, 3), (1, 4, 6, 8)
        weight = b.quantized_constant("weight", (4, 4, 1, 1), 0.0103)
        x = b.quantized_input("x", shape, qparams)
        codes = b.quantize(b.call("aten.conv2d.default", x, weight, None, shape=shape), qparams)
        number = b.dequantize(b.constant("number", _ONE), int8(0.0079))
        rest = b.requantize(b.call("aten.sub.Tensor", number, b.dequantize(codes, qparams), shape=shape), qparams)
        value = b.dequantize(codes, qparams)
        for op in ops:
            if op == "pad":
                shape = (1, 4, shape[2] + 2, shape[3] + 2)
                value = b.call("aten.pad.default", value, (1, 1, 1, 1), "constant", 0.0, shape=shape)
            else:
                shape = (1, 4, shape[2] // 2, shape[3] // 2)
                value = b.call("aten.avg_pool2d.default", value, (2, 2), (2, 2), shape=shape)
            value = b.requantize(value, qparams)
        return b.output(rest, value)

    return build


def _joined(*ops: str, others: bool = True) -> Callable[[], Graph]:
    """Two convolutions, of which ``ops`` make one value: ``from one`` subtracts the first one, or their sum, from 1.

    Without ``others``, the second one is not a convolution but an input, which no permute comes to.
    """

    def build() -> Graph:
        b = GraphBuilder()
        qparams, shape = int8(0.0487, 3), (1, 4, 6, 8)
        x, y = b.quantized_input("x", shape, qparams), b.quantized_input("y", shape, int8(0.0333, -7))
        value = b.requantize(_conv(b, "weight", x, shape), qparams)
        other = b.requantize(_conv(b, "weight_1", y, shape), qparams) if others else y
        for op in ops:
            if op == "from one":
                number = b.dequantize(b.constant("number", _ONE), int8(0.0079))
                made = b.call("aten.sub.Tensor", number, value, shape=shape)
            elif op == "slice":
                shape = (1, 4, 6, 4)
                made = b.call("aten.slice.Tensor", value, 3, 2, 6, shape=shape)
            else:
                made = b.call(f"aten.{op}", value, other, shape=shape)
                wide = qparams if op == "maximum.default" else int8(0.1031, 3)  # not OP706
                value = b.requantize(made, wide)
                continue
            value = b.requantize(made, qparams)
        return b.output(value)

    return build


def _late_slice() -> Graph:
    b = GraphBuilder()
    qparams, shape = int8(0.0487, 3), (1, 4, 6, 8)
    x = b.quantized_input("x", shape, qparams)
    number = b.dequantize(b.constant("number", _ONE), int8(0.0079))
    rest = b.requantize(b.call("aten.sub.Tensor", number, x, shape=shape), qparams)
    shape = (1, 4, 6, 4)
    part = b.requantize(b.call("aten.slice.Tensor", rest, 3, 2, 6, shape=shape), qparams)
    return b.output(b.requantize(_conv(b, "weight", part, shape), qparams))


def _summed(batch: int, *, keepdim: bool = False) -> Callable[[], Graph]:
    """A convolution that is subtracted from a number, and summed over its height and width."""

    def build() -> Graph:
        b = GraphBuilder()
        qparams, shape = int8(0.0487, 3), (batch, 4, 6, 8)
        conv = b.requantize(_conv(b, "weight", b.quantized_input("x", shape, qparams), shape), qparams)
        number = b.dequantize(b.constant("number", _ONE), int8(0.0079))
        rest = b.requantize(b.call("aten.sub.Tensor", number, conv, shape=shape), qparams)
        reduced = (batch, 4, 1, 1) if keepdim else (batch, 4)
        made = b.call("aten.sum.dim_IntList", rest, (2, 3), keepdim, shape=reduced)
        return b.output(b.requantize(made, int8(2.13, -5)))

    return build


def _conv(b: GraphBuilder, name: str, value: str, shape: tuple[int, ...]) -> str:
    weight = b.quantized_constant(name, (shape[1], shape[1], 1, 1), 0.0103)
    return b.call("aten.conv2d.default", value, weight, None, shape=shape)


def _log_sigmoid() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    from fuseguard_rules.examples.operator.modules import log_sigmoid_of_conv

    return log_sigmoid_of_conv()


def _program() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    from fuseguard_rules.examples.operator.modules import conv_subtracted_from_one

    return conv_subtracted_from_one()


BAD = (
    Example("conv2d subtracted from a number", _graph("conv", "sub.Tensor"), _program, only_on=">=1.5"),
    Example("permute of 1 - x", _graph("sub.Tensor", "permute"), only_on=">=1.5"),
    Example("conv2d of 1 - x", _graph("sub.Tensor", "conv"), only_on=">=1.5"),
    Example("conv2d, negated, subtracted from a number", _graph("conv", "neg", "sub.Tensor"), only_on=">=1.5"),
    Example("clone of a conv2d, subtracted from a number", _graph("conv", "clone", "sub.Tensor"), only_on=">=1.5"),
    Example("conv2d of -(1 - x)", _graph("sub.Tensor", "neg", "conv"), only_on=">=1.5"),
    Example("permute of the larger one of a number and x", _graph("maximum.default", "permute"), only_on=">=1.5"),
    Example("conv2d of the smaller one of a number and x", _graph("minimum.default", "conv"), only_on=">=1.5"),
    Example("conv2d subtracted from a number, and padded for a pool", _beside("pad", "pool"), only_on=">=1.5"),
    Example("log_sigmoid of a conv2d", _graph("conv", "log_sigmoid"), _log_sigmoid, only_on=">=1.5"),
    Example("log_sigmoid between two convolutions", _graph("conv", "log_sigmoid", "conv"), only_on=">=1.5"),
    Example("sum of two convolutions, subtracted from a number", _joined("add.Tensor", "from one"), only_on=">=1.5"),
    Example("slice of a conv2d, subtracted from a number", _joined("slice", "from one"), only_on=">=1.5"),
    Example("conv2d of a slice of 1 - x", _late_slice, only_on=">=1.5"),
    Example(
        "1 - conv2d, added to an input",
        _joined("from one", "add.Tensor", others=False),
        only_on=">=1.5",
        companions=("OP706",),
    ),
    Example("sum of 1 - conv2d over height and width, of a batch of 2", _summed(2), only_on=">=1.5"),
    Example("sum of 1 - conv2d that keeps its dimensions", _summed(1, keepdim=True), only_on=">=1.5"),
    Example("larger one of 1 - conv2d and a conv2d", _joined("from one", "maximum.default"), only_on=">=1.5"),
)

GOOD = (
    Example("1 - x alone", _graph("sub.Tensor")),
    Example("log_sigmoid alone", _graph("log_sigmoid")),
    Example("conv2d less a number", _graph("conv", "sub.Tensor", first=False)),
    Example("1 - x between two convolutions", _graph("conv", "sub.Tensor", "conv")),
    Example("conv2d subtracted from a number, and padded alone", _beside("pad")),
    Example("conv2d subtracted from a number, and pooled", _beside("pool")),
    Example("1 - conv2d, added to a conv2d", _joined("from one", "add.Tensor")),
    Example("sum of a conv2d and an input, subtracted from one", _joined("add.Tensor", "from one", others=False)),
)
