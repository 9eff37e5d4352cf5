"""Examples of BO602, partition-cycle."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8

_SHAPE = (1, 4, 8, 8)
_FIRST, _SECOND, _THIRD = int8(0.0487, 3), int8(0.00791, 1), int8(1 / 255.3, -128)


def _graph(*, shared: bool, after: bool = True, output: bool = False) -> Callable[[], Graph]:
    """Tanh -> sigmoid -> abs on the accelerator; exp on the CPU reads the tanh through the sigmoid's DQ (``shared``)
    or through one of its own; or (``output``) the tanh is an output instead. ``after``: whether anything follows the
    sigmoid.
    """

    def build() -> Graph:
        b = GraphBuilder()
        codes = b.quantize(b.call("aten.tanh.default", b.quantized_input("x", _SHAPE, _FIRST)), _SECOND)
        value = b.dequantize(codes, _SECOND)
        apart = value if shared else b.dequantize(codes, _SECOND)
        if not output:
            apart = b.call("aten.exp.default", apart, annotated=False)
        value = b.requantize(b.call("aten.sigmoid.default", value), _THIRD)
        if after:
            value = b.requantize(b.call("aten.abs.default", value), _THIRD)
        return b.output(value, apart)

    return build


def _residual(*, shared: bool) -> Callable[[], Graph]:
    """The sum of a tanh and of its sigmoid; exp on the CPU reads the tanh through the sigmoid's DQ, if ``shared``."""

    def build() -> Graph:
        b = GraphBuilder()
        codes = b.quantize(b.call("aten.tanh.default", b.quantized_input("x", _SHAPE, _FIRST)), _SECOND)
        value = b.dequantize(codes, _SECOND)
        apart = b.call("aten.exp.default", value if shared else b.dequantize(codes, _SECOND), annotated=False)
        gate = b.requantize(b.call("aten.sigmoid.default", value), _THIRD)
        return b.output(b.requantize(b.call("aten.add.Tensor", b.dequantize(codes, _SECOND), gate), _FIRST), apart)

    return build


BAD = (
    Example("a DQ shared by sigmoid and an op on the CPU, between tanh and abs", _graph(shared=True)),
    Example("a DQ shared by sigmoid and an output, between tanh and abs", _graph(shared=True, output=True)),
    Example("a DQ shared by an op on the CPU and by the sigmoid in a residual", _residual(shared=True)),
)

GOOD = (
    Example("a DQ for the sigmoid and one for the op on the CPU", _graph(shared=False)),
    Example("a DQ for the sigmoid and one for an output", _graph(shared=False, output=True)),
    Example("a DQ shared at the end of the partition", _graph(shared=True, after=False)),
    Example("a residual, with a DQ for the op on the CPU", _residual(shared=False)),
)
