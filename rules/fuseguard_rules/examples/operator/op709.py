"""Examples of OP709, sum-over-merged-dims."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8

if TYPE_CHECKING:
    import torch


_SHAPE, _FLAT = (1, 4, 6, 6), (1, 4, 36)


def _graph(dim: int, *between: str) -> Callable[[], Graph]:
    """A view that merges height and width, perhaps an op, and a reduction over ``dim``."""

    def build() -> Graph:
        b = GraphBuilder()
        qparams = int8(0.0487, 3)
        value = b.quantized_input("x", _SHAPE, qparams)
        value = b.requantize(b.call("aten.view.default", value, _FLAT, shape=_FLAT), qparams)
        for target in between:
            further = (b.quantized_input("y", _FLAT, qparams),) if "add" in target else ()
            # An abs with room for all that it yields: nothing saturates between it and the sum.
            qparams = int8(0.0487, -128) if "abs" in target else qparams
            value = b.requantize(b.call(target, value, *further, shape=_FLAT), qparams)
        shape = tuple(size for axis, size in enumerate(_FLAT) if axis != dim)
        return b.output(b.requantize(b.call("aten.sum.dim_IntList", value, (dim,), shape=shape), int8(0.3019, -7)))

    return build


def _shared() -> Graph:
    """What is flattened is read by its sum and by a subtraction, as in a group_norm."""
    b = GraphBuilder()
    qparams, sums = int8(0.0487, 3), int8(0.3019, -7)
    x = b.quantized_input("x", _SHAPE, qparams)
    flat = b.quantize(b.call("aten.view.default", x, _FLAT, shape=_FLAT), qparams)
    read = b.dequantize(flat, qparams)
    total = b.requantize(b.call("aten.sum.dim_IntList", read, (2,), True, shape=(1, 4, 1)), sums)
    difference = b.call("aten.sub.Tensor", b.dequantize(flat, qparams), total, shape=_FLAT)
    return b.output(b.requantize(difference, int8(0.3471, 5)))


def _program() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    from fuseguard_rules.examples.operator.modules import mean_of_flattened

    return mean_of_flattened()


BAD = (
    Example("sum over flattened height and width", _graph(2), _program, only_on=">=1.4,<1.5"),
    Example("sum over an abs of them", _graph(2, "aten.abs.default"), only_on=">=1.4,<1.5"),
)

GOOD = (
    Example("sum over another dimension", _graph(1)),
    Example("an addition between view and sum", _graph(2, "aten.add.Tensor")),
    Example("a view that a subtraction reads too", _shared),
)
