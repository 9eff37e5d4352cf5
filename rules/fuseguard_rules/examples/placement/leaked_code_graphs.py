"""Example graphs of PL401: annotated ops without a quantize op after them."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.ir import Arg, Graph
from fuseguard.ir.builder import GraphBuilder, int8, int16
from fuseguard_rules.examples.placement.anchor_graphs import INPUT, OUTPUT, SHAPE

PERMUTE = "aten.permute.default"


def unquantized_between(first: str, second: str) -> Callable[[], Graph]:
    """Two annotated ops with nothing between them."""

    def build() -> Graph:
        b = GraphBuilder()

        def call(target: str, value: str) -> str:
            further: tuple[Arg, ...] = ()
            if "permute" in target:
                further = ((0, 1, 3, 2),)
            elif "add" in target:
                further = (b.quantized_input("y", SHAPE, INPUT),)
            elif "index_select" in target:
                further = (1, b.call("aten.arange.start_step", 3, -1, -1, shape=(4,), dtype="int32", annotated=False))
            elif "conv2d" in target:
                further = (b.quantized_constant("weight", (4, 4, 3, 3), 0.01031), None, (1, 1), (1, 1))
            return b.call(target, value, *further, shape=SHAPE)

        return b.output(b.requantize(call(second, call(first, b.quantized_input("x", SHAPE, INPUT))), INPUT))

    return build


def indexed_beside_q() -> Graph:
    """A permute that a Q and an index_select read: the Q makes no codes for what takes indices."""
    b = GraphBuilder()
    moved = b.call(PERMUTE, b.quantized_input("x", SHAPE, INPUT), (0, 1, 3, 2), shape=SHAPE)
    rows = b.call("aten.arange.start_step", 3, -1, -1, shape=(4,), dtype="int32", annotated=False)
    value = b.call("aten.index_select.default", moved, 1, rows, shape=SHAPE)
    return b.output(b.requantize(moved, INPUT), b.requantize(value, INPUT))


def stranded() -> Graph:
    """A maximum of a relu without a Q, and of codes that stay on the accelerator."""
    b = GraphBuilder()
    codes = b.quantize(b.call("aten.tanh.default", b.quantized_input("x", SHAPE, INPUT)), INPUT)
    relu = b.call("aten.relu.default", b.quantized_input("y", SHAPE, INPUT), shape=SHAPE)
    value = b.call("aten.maximum.default", b.dequantize(codes, INPUT), relu)
    return b.output(b.requantize(value, INPUT), b.dequantize(codes, INPUT))


def two_readers() -> Graph:
    """The edge dialect makes a view and an addmm of the linear, and moves its weight."""
    b = GraphBuilder()
    moved = b.call(PERMUTE, b.quantized_input("x", SHAPE, INPUT), (0, 2, 1, 3), shape=(1, 8, 4, 8))
    weight = b.quantized_constant("weight", (8, 8), 0.01031)
    bias = b.quantized_constant("bias", (8,), INPUT.scale * 0.01031, dtype="int32")
    linear = b.call("aten.linear.default", moved, weight, bias, shape=(1, 8, 4, 8))
    stack = b.call("aten.stack.default", (moved, moved), 1, shape=(1, 2, 8, 4, 8))
    return b.output(b.requantize(linear, OUTPUT), b.requantize(stack, INPUT))


def one_op(
    target: str, *rest: Arg, inputs: int = 1, quantized: bool = False, dtype: str = "float32"
) -> Callable[[], Graph]:
    """One op on quantized inputs, its result in float unless ``quantized``."""

    def build() -> Graph:
        b = GraphBuilder()
        operands = [b.quantized_input(f"x{number}", SHAPE, INPUT) for number in range(inputs)]
        value = b.call(target, *operands, *rest, shape=SHAPE, dtype=dtype)
        return b.output(b.requantize(value, OUTPUT) if quantized else value)

    return build


def batched_product(reader: str = "", *, wide: bool = False) -> Callable[[], Graph]:
    """A product of two batches of matrices, int16 if ``wide``, viewed without a Q in between, before ``reader``."""

    def build() -> Graph:
        b = GraphBuilder()
        x = int16(0.0007) if wide else int8(0.02)
        left, right = (b.quantized_input(name, (2, 4, 4), x) for name in ("left", "right"))
        product = b.call("aten.bmm.default", left, right, shape=(2, 4, 4))
        value = b.requantize(b.call("aten.view.default", product, (1, 2, 4, 4), shape=(1, 2, 4, 4)), x)
        return b.output(b.requantize(b.call(reader, value), x) if reader else value)

    return build
