"""Examples of BO605, shared-dequantize-leaves."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8

_SHAPE = (1, 4, 8, 8)
_X, _Y = int8(0.0487, 3), int8(0.00791, 1)


def _graph(op: str, *, outside: str = "output", shared: bool = True, after: bool = True) -> Callable[[], Graph]:
    """``op`` reads a tanh on the accelerator (``after``) or an input of the program, through one DQ with ``outside``,
    an ``output`` or an ``exp`` on the CPU, or (not ``shared``) through one of its own.
    """

    def build() -> Graph:
        b = GraphBuilder()
        codes = b.quantize(b.input("x", _SHAPE), _X)
        if after:
            codes = b.quantize(b.call("aten.tanh.default", b.dequantize(codes, _X)), _X)
        value = b.dequantize(codes, _X)
        apart = value if shared else b.dequantize(codes, _X)
        if outside == "exp":
            apart = b.call("aten.exp.default", apart, annotated=False)
        if op == "conv":
            weight = b.quantized_constant("weight", (4, 4, 3, 3), 0.01031)
            made = b.call("aten.conv2d.default", value, weight, None, (1, 1), (1, 1))
        elif op == "cat":
            made = b.call("aten.cat.default", (value, b.quantized_input("y", _SHAPE, _X)), 1, shape=(1, 8, 8, 8))
        elif op == "sigmoid":
            made = b.call("aten.sigmoid.default", value)
        else:
            made = b.call(f"aten.{op}.Tensor", value, b.quantized_input("y", _SHAPE, _Y))
        return b.output(b.requantize(made, _X), apart)

    return build


def _copied_and_permuted() -> Graph:
    """All that reads the copy is taken out of the partition, and a copy alone is none."""
    b = GraphBuilder()
    value = b.requantize(b.call("aten.clone.default", b.quantized_input("x", _SHAPE, _X), shape=_SHAPE), _X)
    weight = b.quantized_constant("weight", (4, 4, 3, 3), 0.01031)
    made = b.call("aten.conv2d.default", value, weight, None, (1, 1), (1, 1))
    moved = b.call("aten.permute.default", value, (0, 1, 3, 2), shape=_SHAPE)
    return b.output(value, b.requantize(moved, _X), b.requantize(made, _X))


def _in_two_delegates() -> Graph:
    """A product whose path goes through the CPU and comes back, and a sum after that, by one DQ."""
    b = GraphBuilder()
    value = b.requantize(b.call("aten.tanh.default", b.quantized_input("x", _SHAPE, _X)), _X)
    made = b.requantize(b.call("aten.mul.Tensor", value, b.quantized_input("y", _SHAPE, _Y)), _X)
    made = b.requantize(b.call("aten.trunc.default", made, annotated=False), _X)
    return b.output(b.requantize(b.call("aten.add.Tensor", value, made), _X))


BAD = (
    Example("conv2d of a tanh that is an output too, by one DQ", _graph("conv")),
    Example("add of a tanh that is an output too, by one DQ", _graph("add")),
    Example("mul of a tanh that the CPU reads too, by one DQ", _graph("mul", outside="exp")),
    Example("cat of a tanh that is an output too, by one DQ", _graph("cat")),
    Example("conv2d of an input that is an output too, by one DQ", _graph("conv", after=False), only_on="<1.4"),
    Example("conv2d and permute of a copy that is an output too, by one DQ", _copied_and_permuted, only_on="<1.4"),
    Example("mul before an op on the CPU and add after it, by one DQ", _in_two_delegates, companions=("BO604",)),
)

GOOD = (
    Example("conv2d and an output, a DQ each", _graph("conv", shared=False)),
    Example("sigmoid of a tanh that is an output too, by one DQ", _graph("sigmoid")),
)
