"""Examples of OP718, dynamic-size-needs-shape-ops."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.graph import Arg

_IN, _OUT = int8(0.0487, 3), int8(0.0713, 2)

Sizes = tuple[int | None, ...]


def _linear(batch: int | None, *, quantized: bool = True) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        if not quantized:
            weight = b.constant("weight", (3, 8), "float32")
            return b.output(
                b.call("aten.linear.default", b.input("x", (batch, 8)), weight, shape=(batch, 3), annotated=False)
            )
        x, weight = b.quantized_input("x", (batch, 8), _IN), b.quantized_constant("weight", (3, 8))
        return b.output(b.requantize(b.call("aten.linear.default", x, weight, shape=(batch, 3)), _OUT))

    return build


def _conv(data: Sizes, weight: tuple[int, ...], result: Sizes, groups: int = 1) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x, stored = b.quantized_input("x", data, _IN), b.quantized_constant("weight", weight)
        spatial = len(weight) - 2
        options = ((1,) * spatial, (0,) * spatial, (1,) * spatial, groups)
        value = b.call(f"aten.conv{spatial}d.default", x, stored, None, *options, shape=result)
        return b.output(b.requantize(value, _OUT))

    return build


def _call(target: str, *args: Arg, result: Sizes) -> Callable[[], Graph]:
    """An op that moves values or picks some of them."""

    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", (None, 4, 6), _IN)
        return b.output(b.requantize(b.call(target, x, *args, shape=result), _IN))

    return build


def _viewed() -> Graph:
    b = GraphBuilder()
    x, weight = b.quantized_input("x", (None, 4, 2), _IN), b.quantized_constant("weight", (3, 8))
    flat = b.requantize(b.call("aten.view.default", x, (-1, 8), shape=(None, 8)), _IN)
    return b.output(b.requantize(b.call("aten.linear.default", flat, weight, shape=(None, 3)), _OUT))


BAD = (
    Example("linear with a dynamic batch", _linear(None), only_on=">=1.5.1"),
    Example("float linear with a dynamic batch", _linear(None, quantized=False), only_on=">=1.5.1"),
    Example("conv1d with a dynamic batch", _conv((None, 4, 8), (4, 4, 3), (None, 4, 6)), only_on=">=1.5.1"),
    Example(
        "grouped conv2d with a dynamic batch",
        _conv((None, 4, 6, 6), (4, 2, 1, 1), (None, 4, 6, 6), 2),
        only_on=">=1.5.1",
    ),
    Example("view to an inferred size of a dynamic batch", _viewed, only_on=">=1.5.1"),
    Example("amax that drops a dimension", _call("aten.amax.default", (1,), result=(None, 6)), only_on=">=1.5.1"),
)

GOOD = (Example("linear of a fixed batch", _linear(2)),)
