"""Examples of PL406, annotated-op-reads-float."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard_rules.examples.placement.anchor_graphs import INPUT, SHAPE

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


BAD = (
    Example("permute of a float input", _graph(_PERMUTE, (0, 1, 3, 2))),
    Example("sigmoid of a float input", _graph("aten.sigmoid.default")),
    Example("relu of a float input", _graph("aten.relu.default")),
    Example("abs of a float input, read by a lookup table", _graph("aten.abs.default", read=True)),
    Example("permute of a float input, read by a lookup table", _graph(_PERMUTE, (0, 1, 3, 2), read=True)),
)

GOOD = (
    Example("permute of a quantized input", _graph(_PERMUTE, (0, 1, 3, 2), quantized=True)),
    Example("abs of what was computed in float and quantized", _float_outside),
)
