"""Examples of DT505, narrow-table-input."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.engine import Example
from fuseguard.ir import Graph, QParams
from fuseguard.ir.builder import GraphBuilder, int8


def _sigmoid(qparams: QParams) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", (1, 4, 8, 8), qparams)
        return b.output(b.requantize(b.call("aten.sigmoid.default", x), int8(1 / 255.7, -128)))

    return build


def _table(kind: str, out: QParams) -> Callable[[], Graph]:
    """Of numbers from zero to one."""

    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", (1, 4, 8, 8), int8(0.00388, -127, -127))
        return b.output(b.requantize(b.call(f"aten.{kind}.default", x), out))

    return build


def _floor() -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 4, 8, 8), int8(0.00388, 2, -127))
    return b.output(b.requantize(b.call("aten.floor.default", x), int8(0.00394, 127, -127)))


def _exp_of_softmax() -> Graph:
    """A function of x - amax(x), which is never above zero."""
    b = GraphBuilder()
    step, shape, row = int8(0.0236, -17, -127), (1, 4, 8, 8), (1, 4, 8, 1)
    x = b.quantized_input("x", shape, step)
    largest = b.requantize(b.call("aten.amax.default", x, (3,), True, shape=row), step)
    minus = b.requantize(b.call("aten.sub.Tensor", x, largest, shape=shape), int8(0.0194, 0, -127))
    return b.output(b.requantize(b.call("aten.exp.default", minus), int8(0.00392, -128)))


def _sigmoid_of_relu() -> Graph:
    """Codes from 0 up, whose entries are right."""
    b = GraphBuilder()
    symmetric = int8(0.0487, 0, -127)
    x = b.quantized_input("x", (1, 4, 8, 8), symmetric)
    value = b.requantize(b.call("aten.relu.default", x), symmetric)
    return b.output(b.requantize(b.call("aten.sigmoid.default", value), int8(1 / 255.7, -128)))


BAD = (
    Example("sigmoid over [-127, 127]", _sigmoid(int8(0.0487, 3, -127)), only_on="<1.3"),
    Example(
        "reciprocal of numbers down to zero",
        _table("reciprocal", int8(0.51, -127, -127)),
        only_on="<1.3",
        companions=("QP306",),
    ),
    Example("exp of a softmax, whose codes above 0 are out of reach", _exp_of_softmax, only_on="<1.3"),
)

GOOD = (
    Example("sigmoid over the full int8 range", _sigmoid(int8(0.0487, 3))),
    Example("floor over [-127, 127] that saturates for negative codes", _floor),
    Example(
        "reciprocal of numbers down to zero that saturates for the small ones",
        _table("reciprocal", int8(0.0079, -127, -127)),
    ),
    Example("sigmoid of a relu, whose codes below 0 are out of reach", _sigmoid_of_relu),
    Example("log of numbers down to zero", _table("log", int8(0.00272, 127, -127))),
)
