"""Examples of DT502, int16-without-extension."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, full_int16, int8

if TYPE_CHECKING:
    import torch


_SHAPE = (1, 4, 4, 4)
_IN = full_int16(0.000287)


def _conv(wide: bool, *, wide_result: bool | None = None, groups: int = 1) -> Callable[[], Graph]:
    """``wide_result``: whether the result is int16; as ``wide`` says of the input if it is None."""

    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", _SHAPE, _IN if wide else int8(0.0487, 3))
        weight = b.quantized_constant("weight", (4, 4 // groups, 1, 1), 0.01031)
        value = b.call("aten.conv2d.default", x, weight, None, (1, 1), (0, 0), (1, 1), groups, shape=_SHAPE)
        result = full_int16(0.000713) if (wide if wide_result is None else wide_result) else int8(0.0713, 2)
        return b.output(b.requantize(value, result))

    return build


def _unary(target: str, *args: object) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", _SHAPE, _IN)
        value = b.call(target, x, *args, shape=_SHAPE)  # type: ignore[arg-type]
        return b.output(b.requantize(value, full_int16(1 / 32767) if "sigmoid" in target else _IN))

    return build


def _stack() -> Graph:
    """The edge dialect makes a cat and a view of the stack, and an add reads their codes."""
    b = GraphBuilder()
    x, y = (b.quantized_input(name, _SHAPE, _IN) for name in ("x", "y"))
    codes = b.quantize(b.call("aten.stack.default", (x, y), 1, shape=(1, 2, 4, 4, 4)), _IN)
    value = b.call("aten.add.Tensor", b.dequantize(codes, _IN), b.dequantize(codes, _IN))
    return b.output(b.requantize(value, full_int16(0.000713)))


def _add() -> Graph:
    b = GraphBuilder()
    x, y = (b.quantized_input(name, _SHAPE, _IN) for name in ("x", "y"))
    return b.output(b.requantize(b.call("aten.add.Tensor", x, y), full_int16(0.000713)))


def _program() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    from fuseguard_rules.examples.dtype.modules import conv_and_sigmoid

    return conv_and_sigmoid()


BAD = (
    Example("A16W8 conv and sigmoid", _conv(True), _program, config="a16w8"),
    Example("int16 sigmoid", _unary("aten.sigmoid.default")),
    Example("int16 stack, read by an add", _stack),
    Example("grouped int8 conv with an int16 result", _conv(False, wide_result=True, groups=2)),
    Example("int16 max_pool2d", _unary("aten.max_pool2d.default", (3, 3), (1, 1), (1, 1))),
)

GOOD = (
    Example("A16W8 conv with the extension", _conv(True), extensions=("int16",)),
    Example("int8 conv", _conv(False)),
    Example("int8 conv with an int16 result", _conv(False, wide_result=True)),
    Example("int16 add, which runs in int32", _add),
)
