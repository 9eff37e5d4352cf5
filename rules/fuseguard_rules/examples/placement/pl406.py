"""Examples of PL406, annotated-op-reads-float."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fuseguard.engine import Example
from fuseguard.ir import Graph, QParams
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard_rules.examples.placement.anchor_graphs import INPUT, SHAPE

if TYPE_CHECKING:
    import torch

_RELU = int8(0.0129, -128)
_PERMUTE = "aten.permute.default"


def _graph(target: str, *rest: tuple[int, ...], quantized: bool = False, read: bool = False) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", SHAPE, INPUT) if quantized else b.input("x", SHAPE)
        value = b.requantize(b.call(target, x, *rest, shape=SHAPE), INPUT)
        if read:
            value = b.requantize(b.call("aten.tanh.default", value), int8(0.0079, 1))
        return b.output(value)

    return build


def _float_outside() -> Graph:
    b = GraphBuilder()
    value = b.call("aten.exp.default", b.input("x", SHAPE), annotated=False)
    return b.output(b.requantize(b.call("aten.abs.default", b.requantize(value, INPUT)), INPUT))


def _after_linear(target: str, *bounds: float, read: bool = False, out: QParams = _RELU) -> Callable[[], Graph]:
    """An activation after a linear that stayed in float."""

    def build() -> Graph:
        b = GraphBuilder()
        weight, bias = b.constant("weight", (4, 8), "float32"), b.constant("bias", (4,), "float32")
        value = b.call("aten.linear.default", b.input("x", (1, 8)), weight, bias, shape=(1, 4), annotated=False)
        value = b.requantize(b.call(target, value, *bounds), out)
        if read:
            value = b.requantize(b.call("aten.mul.Tensor", value, value), int8(0.0487, -128))
        return b.output(value)

    return build


def _share(read: bool) -> Callable[[], Graph]:
    """A product of integers and a float, which is what becomes of a mean of bools."""

    def build() -> Graph:
        b = GraphBuilder()
        counts = b.input("counts", (1, 1, 8, 8), "int64")
        value = b.call("aten.mul.Tensor", counts, b.constant("share", (), "float32"), shape=(1, 1, 8, 8))
        value = b.requantize(value, int8(0.0039, -128))
        if read:
            x = b.quantized_input("x", SHAPE, INPUT)
            value = b.requantize(b.call("aten.mul.Tensor", value, x, shape=SHAPE), INPUT)
        return b.output(value)

    return build


def _share_program() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    from fuseguard_rules.examples.placement.modules import share_above_zero

    return share_above_zero()


BAD = (
    Example("permute of a float input", _graph(_PERMUTE, (0, 1, 3, 2))),
    Example("sigmoid of a float input", _graph("aten.sigmoid.default")),
    Example("relu of a float input", _graph("aten.relu.default")),
    Example("abs of a float input, read by a lookup table", _graph("aten.abs.default", read=True)),
    Example("permute of a float input, read by a lookup table", _graph(_PERMUTE, (0, 1, 3, 2), read=True)),
    Example("product of integers and a float", _share(read=False)),
    Example("product of integers and a float, multiplied", _share(read=True), _share_program),
)

GOOD = (
    Example("relu of a float linear", _after_linear("aten.relu.default")),
    Example("relu of a float linear, multiplied by itself", _after_linear("aten.relu.default", read=True)),
    Example("permute of a quantized input", _graph(_PERMUTE, (0, 1, 3, 2), quantized=True)),
    Example("abs of what was computed in float and quantized", _float_outside),
)
