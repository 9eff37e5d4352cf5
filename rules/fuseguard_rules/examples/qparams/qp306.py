"""Examples of QP306, amplified-rounding."""

from __future__ import annotations

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8

_SHAPE = (1, 4, 4, 4)
_STEP = 0.0079


def _power(target: str, most: float, *args: float) -> Graph:
    """A function of a variance of up to 2, whose largest result in calibration was ``most``."""
    b = GraphBuilder()
    x = b.quantized_input("x", _SHAPE, int8(_STEP, -128))
    return b.output(b.requantize(b.call(target, x, *args), int8(most / 255, -128)))


def _softmax(most: float) -> Graph:
    """The reciprocal of a sum of exp(x - amax(x)), which is 1 at least."""
    b = GraphBuilder()
    step, row = int8(0.0236, -17), (1, 4, 4, 1)
    x = b.quantized_input("x", _SHAPE, step)
    largest = b.requantize(b.call("aten.amax.default", x, (3,), True, shape=row), step)
    minus = b.requantize(b.call("aten.sub.Tensor", x, largest, shape=_SHAPE), int8(0.0194, 127))
    raised = b.requantize(b.call("aten.exp.default", minus), int8(0.00392, -128))
    total = b.requantize(b.call("aten.sum.dim_IntList", raised, (3,), True, shape=row), int8(0.0305, -128))
    return b.output(b.requantize(b.call("aten.reciprocal.default", total), int8(most / 255, -128)))


BAD = (
    Example("rsqrt of a variance of three codes", lambda: _power("aten.rsqrt.default", (3 * _STEP) ** -0.5)),
    Example("reciprocal of a norm of half a code", lambda: _power("aten.reciprocal.default", 2 / _STEP)),
    Example(
        "power -0.5 of a variance of five codes",
        lambda: _power("aten.pow.Tensor_Scalar", (5 * _STEP) ** -0.5, -0.5),
    ),
)

GOOD = (
    Example("rsqrt of a variance of 64 codes", lambda: _power("aten.rsqrt.default", (64 * _STEP) ** -0.5)),
    Example("reciprocal of a sum that is 1 at least, and has few codes below", lambda: _softmax(10.0)),
)
