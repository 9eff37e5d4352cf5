"""Graphs that read few of a table's codes: softmax as it is decomposed, and batch norms with stored variances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from fuseguard.ir import Graph, QParams
from fuseguard.ir.builder import GraphBuilder, int16
from fuseguard_rules.examples.programs import program_of

_SHAPE = (1, 2, 8, 16)
_ROW = (1, 2, 8, 1)
#: The smallest scale of Arm's observers in A16W8, and that of a mask of -255.
_FLOOR, _MASKED = 2.0**-12, 0.00784783


def softmax(data: QParams, *, mask: bool = False) -> Callable[[], Graph]:
    """amax, sub, exp, sum, reciprocal and mul, as DecomposeSoftmaxPass makes them of values, or of masked ones."""
    exponential = total = int16(_FLOOR)

    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", _SHAPE, int16(_FLOOR))
        if mask:
            codes = [0 if column <= row else -32640 for row in range(8) for column in range(16)]
            hidden = b.stored_constant("mask", (8, 16), int16(0.0078127), codes)
            x = b.requantize(b.call("aten.add.Tensor", x, hidden), data)
        largest = b.requantize(b.call("aten.amax.default", x, (-1,), True, shape=_ROW), data)
        minus = b.requantize(b.call("aten.sub.Tensor", x, largest, shape=_SHAPE), data)
        raised = b.requantize(b.call("aten.exp.default", minus), exponential)
        added = b.requantize(b.call("aten.sum.dim_IntList", raised, (-1,), True, shape=_ROW), total)
        inverse = b.requantize(b.call("aten.reciprocal.default", added), exponential)
        return b.output(b.requantize(b.call("aten.mul.Tensor", raised, inverse, shape=_SHAPE), exponential))

    return build


plain = softmax(int16(_FLOOR))
masked = softmax(int16(_MASKED), mask=True)


def normalized(variances: Sequence[float], out: float) -> Callable[[], Graph]:
    """A batch norm that no convolution takes in: x * rsqrt(variance + eps), A16W8."""
    codes = [round(variance / _FLOOR) for variance in variances]

    def build() -> Graph:
        b = GraphBuilder()
        floor, count = int16(_FLOOR), len(codes)
        x = b.quantized_input("x", (1, count, 8, 8), floor)
        stored = b.stored_constant("variance", (1, count, 1, 1), floor, codes)
        eps = b.requantize(b.call("aten.full.default", (1, 1, 1, 1), 1e-5, shape=(1, 1, 1, 1)), floor)
        total = b.requantize(b.call("aten.add.Tensor", stored, eps, shape=(1, count, 1, 1)), floor)
        factor = b.requantize(b.call("aten.rsqrt.default", total), int16(out))
        return b.output(b.requantize(b.call("aten.mul.Tensor", x, factor, shape=(1, count, 8, 8)), int16(8 * out)))

    return build


ordinary_variances = normalized((0.3, 0.7, 1.1, 2.0), _FLOOR)
tiny_variances = normalized((1e-4, 1e-3, 1e-2, 1e-1), 0.00290845)


#: The float module of a name, and inputs of ordinary size.
module = partial(program_of, "dtype.modules")
