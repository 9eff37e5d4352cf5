"""Examples of PL405, raw-integers-taken-for-quantized."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.engine import Example
from fuseguard.ir import Arg, Graph
from fuseguard.ir.builder import GraphBuilder
from fuseguard_rules.examples.placement.anchor_graphs import INPUT, SHAPE


def _graph(
    target: str,
    *rest: Arg,
    inputs: int = 1,
    shape: tuple[int, ...] = SHAPE,
    dtype: str = "int8",
    quantize: bool = False,
) -> Callable[[], Graph]:
    """``target`` on integers: user inputs as they are, or (``quantize``) codes whose DQ comes only after the op."""

    def build() -> Graph:
        b = GraphBuilder()
        names = [f"x{number}" for number in range(inputs)]
        codes = [b.quantize(b.input(n, SHAPE), INPUT) if quantize else b.input(n, SHAPE, "int8") for n in names]
        value = b.call(target, *codes, *rest, shape=shape, dtype=dtype, annotated=False)
        return b.output(b.dequantize(value, INPUT) if quantize else value)

    return build


BAD = (
    Example("pad of an int8 input", _graph("aten.constant_pad_nd.default", (1, 1, 1, 1), 0, shape=(1, 4, 10, 10))),
    Example("neg of an int8 input", _graph("aten.neg.default")),
    Example("add of two int8 inputs", _graph("aten.add.Tensor", inputs=2)),
    Example("mul of two int8 inputs", _graph("aten.mul.Tensor", inputs=2)),
    Example("add of codes before they are dequantized", _graph("aten.add.Tensor", inputs=2, quantize=True)),
    Example("comparison of two int8 inputs", _graph("aten.gt.Tensor", inputs=2, dtype="bool")),
    Example("matmul of two int8 inputs", _graph("aten.matmul.default", inputs=2)),
    Example("relu of an int8 input", _graph("aten.relu.default")),
    Example("sigmoid of an int8 input", _graph("aten.sigmoid.default", dtype="float32")),
)

GOOD = (
    Example("permute of an int8 input", _graph("aten.permute.default", (0, 1, 3, 2))),
    Example("bitwise and of two int8 inputs", _graph("aten.bitwise_and.Tensor", inputs=2)),
)
