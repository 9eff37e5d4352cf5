"""Small graphs of one anchor, with qparams that the PL examples share."""

from __future__ import annotations

from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8

SHAPE = (1, 4, 8, 8)
INPUT = int8(0.0487, 3)
OUTPUT = int8(0.0517, -17)


def anchor_graph(
    kind: str, *, data: bool = True, weight: bool = True, output: bool = True, annotated: bool = True
) -> Graph:
    """A conv2d or linear with each of its three boundaries quantized or left in float."""
    b = GraphBuilder()
    shape, weights = (SHAPE, (4, 4, 3, 3)) if kind == "conv2d" else ((4, 8), (8, 8))
    x = b.quantized_input("x", shape, INPUT) if data else b.input("x", shape)
    w = b.quantized_constant("weight", weights, 0.01031) if weight else b.constant("weight", weights, "float32")
    rest = ((1, 1), (1, 1)) if kind == "conv2d" else ()
    value = b.call(f"aten.{kind}.default", x, w, None, *rest, shape=shape, annotated=annotated)
    return b.output(b.requantize(value, OUTPUT) if output else value)
