"""Examples of OP702, conv-weight-layout-unsupported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from fuseguard.engine import Example
from fuseguard.ir import Arg, Graph
from fuseguard.ir.builder import GraphBuilder, int8

if TYPE_CHECKING:
    import torch


_SCALES = (0.00731, 0.00841, 0.01171, 0.01721)


def _graph(
    *, transposed: bool = True, groups: int = 1, dilation: int = 1, axis: int | None = None
) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", (1, 4, 6, 6), int8(0.0487, 3))
        weight = b.quantized_constant(
            "weight", (4, 4 // groups, 2, 2), 0.01031 if axis is None else _scales(axis, groups)
        )
        if transposed:
            size = 10 + dilation + 1
            rest: tuple[Arg, ...] = ((2, 2), (0, 0), (0, 0), groups, (dilation, dilation))
            value = b.call("aten.conv_transpose2d.input", x, weight, None, *rest, shape=(1, 4, size, size))
        else:
            value = b.call("aten.conv2d.default", x, weight, None, (1, 1), shape=(1, 4, 5, 5))
        return _with_axis(b.output(b.requantize(value, int8(0.0517, -17))), axis)

    return build


def _scales(axis: int, groups: int) -> tuple[float, ...]:
    return _SCALES[: 4 // groups] if axis == 1 else _SCALES


def _with_axis(graph: Graph, axis: int | None) -> Graph:
    """The builder quantizes per channel on axis 0 only."""
    nodes = [
        replace(node, args=(*node.args[:3], axis, *node.args[4:])) if "dequantize_per_channel" in node.target else node
        for node in graph
    ]
    return Graph(nodes, dialect=graph.dialect, buffers=graph.buffers)


def _program(**options: int) -> Callable[[], tuple[torch.nn.Module, tuple[torch.Tensor, ...]]]:
    def build() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
        from fuseguard_rules.examples.operator.modules import transposed_conv

        return transposed_conv(**options)

    return build


BAD = (
    Example(
        "transposed conv with groups and per-channel weights",
        _graph(groups=2, axis=0),
        _program(groups=2),
        only_on="<1.4",
    ),
    Example("dilated transposed conv", _graph(dilation=2), only_on="<1.4"),
    Example("transposed conv quantized along its input channels", _graph(axis=0)),
    Example("conv quantized along its input channels", _graph(transposed=False, axis=1)),
)

GOOD = (
    Example("transposed conv with groups and per-tensor weights", _graph(groups=2)),
    Example("transposed conv quantized along its output channels", _graph(axis=1), _program()),
)
