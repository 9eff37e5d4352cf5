"""Examples of OP710, unsaturated-product-overflows."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int16

#: What Arm's A16W8 observers choose for all values up to 8.
_FLOOR = int16(2.0**-12)


def _graph(terms: int) -> Callable[[], Graph]:
    """X times the sum over ``terms`` of its elements."""

    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", (1, 4, 8, terms), _FLOOR)
        total = b.requantize(b.call("aten.sum.dim_IntList", x, (3,), True, shape=(1, 4, 8, 1)), _FLOOR)
        return b.output(b.requantize(b.call("aten.mul.Tensor", total, x, shape=(1, 4, 8, terms)), int16(2.0**-9)))

    return build


def _mean() -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 4, 8, 6), _FLOOR)
    total = b.requantize(b.call("aten.sum.dim_IntList", x, (3,), True, shape=(1, 4, 8, 1)), _FLOOR)
    reciprocal = b.dequantize(b.constant("reciprocal", (1,), "int16"), _FLOOR)
    return b.output(b.requantize(b.call("aten.mul.Tensor", total, reciprocal), _FLOOR))


BAD = (
    Example(
        "sum over 6 multiplied by what it sums up",
        _graph(6),
        only_on=">=1.3",
        extensions=("int16",),
    ),
)

GOOD = (
    Example("sum over 1 multiplied by what it sums up", _graph(1), extensions=("int16",)),
    Example("mean over 6, with its reciprocal of 6", _mean, extensions=("int16",)),
)
