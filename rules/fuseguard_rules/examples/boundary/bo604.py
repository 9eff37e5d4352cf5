"""Examples of BO604, shared-dequantize-cut-off."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.engine import (
    Example,
)
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8

_X, _HALF, _SHAPE = int8(0.0487, 3), (1, 1, 4, 4), (1, 4, 8, 8)


def _parts(first: str, second: str, *, unbind: bool = True) -> Callable[[], Graph]:
    """``first`` and ``second`` say what becomes of each part: ``cpu``, ``flip`` (so before 1.4), ``npu`` or
    ``output``.
    """

    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantize(b.input("x", (2, *_HALF)), _X)
        if unbind:
            parts = b.call("aten.unbind.int", b.dequantize(x, _X), 0, shape=_HALF)
            values = [b.call("operator.getitem", parts, number, shape=_HALF) for number in (0, 1)]
        else:
            values = [b.call("aten.select.int", b.dequantize(x, _X), 0, number, shape=_HALF) for number in (0, 1)]
        outputs = []
        for value, fate in zip(values, (first, second), strict=True):
            part = b.requantize(value, _X)
            if fate == "cpu":
                part = b.requantize(b.call("aten.trunc.default", part, shape=_HALF, annotated=False), _X)
            if fate == "flip":
                part = b.requantize(b.call("aten.flip.default", part, (2,), shape=_HALF), _X)
            elif fate != "output":
                part = b.requantize(b.call("aten.tanh.default", part, shape=_HALF), int8(0.00787, 3))
            outputs.append(part)
        return b.output(*outputs)

    return build


def _around(op: str, *, shared: bool = True, read: bool = False) -> Callable[[], Graph]:
    """``op`` reads an absolute value that also goes through the CPU and comes back; by one DQ, if ``shared``. A
    sigmoid reads its result, if ``read``.
    """

    def build() -> Graph:
        b = GraphBuilder()
        codes = b.quantize(b.call("aten.abs.default", b.quantized_input("x", _SHAPE, _X)), _X)
        value = b.dequantize(codes, _X)
        made = b.requantize(b.call("aten.neg.default", value), _X)
        made = b.requantize(b.call("aten.trunc.default", made, annotated=False), _X)
        made = b.requantize(b.call("aten.tanh.default", made), int8(0.00787, 3))
        value = value if shared else b.dequantize(codes, _X)
        if op == "conv2d":
            weight = b.quantized_constant("weight", (4, 4, 3, 3), 0.01031)
            other = b.call("aten.conv2d.default", value, weight, None, (1, 1), (1, 1))
        elif op == "add":
            other = b.call("aten.add.Tensor", value, b.quantized_input("y", _SHAPE, _X))
        else:
            other = b.call(f"aten.{op}.default", value)
        other = b.requantize(other, int8(0.0371, -7))
        if read:
            other = b.requantize(b.call("aten.sigmoid.default", other), int8(1 / 255.3, -128))
        return b.output(made, other)

    return build


BAD = (
    Example("unbind: one part through the CPU, the other an output", _parts("cpu", "output")),
    Example("unbind: one part flipped, the other an output", _parts("flip", "output"), only_on="<1.4"),
    Example("unbind: one part through the CPU, the other computed with", _parts("npu", "cpu")),
    Example("exp that is an output, beside a path through the CPU, by one DQ", _around("exp")),
    Example("exp before a sigmoid, beside a path through the CPU, by one DQ", _around("exp", read=True)),
    Example("add beside a path through the CPU, by one DQ", _around("add"), companions=("BO605",)),
    Example("conv2d beside a path through the CPU, by one DQ", _around("conv2d"), companions=("BO605",)),
    Example("hardsigmoid beside a path through the CPU, by one DQ", _around("hardsigmoid")),
)

GOOD = (
    Example("unbind: both parts on the accelerator", _parts("npu", "output")),
    Example("unbind: both parts through the CPU", _parts("cpu", "cpu")),
    Example("select, each with a dequantize op of its own", _parts("cpu", "npu", unbind=False)),
    Example("conv2d beside a path through the CPU, a DQ each", _around("conv2d", shared=False)),
)
