"""Examples of BO604, shared-dequantize-cut-off."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.engine import (
    Example,
)
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8

_X, _HALF = int8(0.0487, 3), (1, 1, 4, 4)


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


BAD = (
    Example("unbind: one part through the CPU, the other an output", _parts("cpu", "output")),
    Example("unbind: one part flipped, the other an output", _parts("flip", "output"), only_on="<1.4"),
    Example("unbind: one part through the CPU, the other computed with", _parts("npu", "cpu")),
)

GOOD = (
    Example("unbind: both parts on the accelerator", _parts("npu", "output")),
    Example("unbind: both parts through the CPU", _parts("cpu", "cpu")),
    Example("select, each with a dequantize op of its own", _parts("cpu", "npu", unbind=False)),
)
