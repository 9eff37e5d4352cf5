"""Examples of PL404, annotation-missing."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.engine import Example
from fuseguard.ir import Arg, Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard_rules.examples.placement.anchor_graphs import INPUT, OUTPUT, SHAPE, anchor_graph


def _op(target: str, *rest: Arg, inputs: int = 1) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        operands = [b.quantized_input(f"x{number}", SHAPE, INPUT) for number in range(inputs)]
        return b.output(b.requantize(b.call(target, *operands, *rest, annotated=False), OUTPUT))

    return build


def _chain(*annotated: bool) -> Callable[[], Graph]:
    """Convolutions one after the other, each but the last with a relu."""

    def build() -> Graph:
        b = GraphBuilder()
        value = b.quantized_input("x", SHAPE, INPUT)
        for number, known in enumerate(annotated):
            weight = b.quantized_constant(f"w{number}", (4, 4, 3, 3), 0.0103)
            value = b.call("aten.conv2d.default", value, weight, None, (1, 1), (1, 1), shape=SHAPE, annotated=known)
            last = number == len(annotated) - 1
            value = value if last else b.call("aten.relu.default", value, annotated=known)
            value = b.requantize(value, OUTPUT if last else int8(0.0311, -128))
        return b.output(value)

    return build


def _conv(target: str, weights: tuple[int, ...], *rest: Arg, tapped: bool = False) -> Callable[[], Graph]:
    """A convolution that keeps its input's shape; ``tapped``: the program yields its result in float as well."""

    def build() -> Graph:
        b = GraphBuilder()
        shape = SHAPE if len(weights) == 4 else SHAPE[:3]
        value = b.quantized_input("x", shape, INPUT)
        weight = b.quantized_constant("weight", weights, 0.0103)
        value = b.call(f"aten.{target}", value, weight, None, *rest, shape=shape, annotated=False)
        outputs = [b.requantize(value, OUTPUT), *([value] if tapped else [])]
        return b.output(*outputs)

    return build


def _float_between() -> Graph:
    """The result of PT2E for tanh, exp and abs, without exp."""
    b = GraphBuilder()
    value = b.requantize(b.call("aten.tanh.default", b.quantized_input("x", SHAPE, INPUT)), int8(0.0079, 1))
    value = b.requantize(b.call("aten.exp.default", value, annotated=False), int8(0.0107, -128))
    return b.output(b.requantize(b.call("aten.abs.default", value), int8(0.0107, -128)))


def _table(target: str, *, foreign: bool = False, cloned: bool = False, yielded: bool = False) -> Callable[[], Graph]:
    """An op that is lowered as a lookup table alone, in float between DQ and Q; ``foreign``: nothing is annotated."""

    def build() -> Graph:
        b = GraphBuilder()
        value = b.quantized_input("x", SHAPE, INPUT)
        if not foreign:
            value = b.requantize(b.call("aten.abs.default", value), INPUT)
        value = b.call(f"aten.{target}", value, annotated=False)
        value = b.call("aten.clone.default", value, annotated=False) if cloned else value
        return b.output(*([value] if yielded else []), b.requantize(value, OUTPUT))

    return build


BAD = (
    Example("conv2d that lost its annotation", lambda: anchor_graph("conv2d", annotated=False)),
    Example("conv2d with relu that lost its annotation, between others", _chain(True, False, True)),
    Example("conv_transpose2d that lost its annotation", _conv("conv_transpose2d.input", (4, 4, 1, 1))),
    Example(
        "grouped conv2d that lost its annotation", _conv("conv2d.default", (4, 2, 1, 1), (1, 1), (0, 0), (1, 1), 2)
    ),
    Example("conv1d that lost its annotation", _conv("conv1d.default", (4, 4, 3), (1,), (1,))),
    Example(
        "conv2d that lost its annotation, read in float as well", _conv("conv2d.default", (4, 4, 1, 1), tapped=True)
    ),
    Example("linear that lost its annotation", lambda: anchor_graph("linear", annotated=False)),
    Example("add of another quantizer", _op("aten.add.Tensor", inputs=2)),
    Example("permute of another quantizer", _op("aten.permute.default", (0, 1, 3, 2))),
    Example("hardswish left in float", _table("hardswish.default")),
    Example("hardsigmoid left in float", _table("hardsigmoid.default")),
    Example("hardsigmoid left in float, in place", _table("hardsigmoid_.default")),
    Example("hardswish of another quantizer", _table("hardswish.default", foreign=True)),
)

GOOD = (
    Example("exp left in float in an otherwise quantized program", _float_between),
    Example("hardswish in float before a clone", _table("hardswish.default", cloned=True)),
    Example("hardswish in float, also yielded", _table("hardswish.default", yielded=True)),
    Example("silu left in float", _table("silu.default")),
    Example("three annotated convolutions", _chain(True, True, True)),
)
