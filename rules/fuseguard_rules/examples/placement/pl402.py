"""Examples of PL402, inputs-partly-quantized."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.engine import Example
from fuseguard.ir import Arg, Graph
from fuseguard.ir.builder import GraphBuilder
from fuseguard_rules.examples.placement.anchor_graphs import INPUT, OUTPUT, SHAPE


def _graph(target: str, *, listed: bool = False, both: bool = False) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        shape = (1, 8, 8) if "mm" in target or "matmul" in target else SHAPE
        x = b.quantized_input("x", shape, INPUT)
        y = b.quantized_input("y", shape, INPUT) if both else b.input("y", shape)
        if "gt" in target:
            return b.output(b.call(target, x, y, shape=shape, dtype="bool"))
        if listed:
            value = b.call(target, (x, y), 1, shape=(1, 8, 8, 8))
        elif target.startswith("aten.where"):
            value = b.call(target, b.input("condition", SHAPE, "bool"), x, y, shape=SHAPE)
        else:
            value = b.call(target, x, y, shape=shape)
        return b.output(b.requantize(value, INPUT if listed or "where" in target else OUTPUT))

    return build


def _after(target: str, *, beside: bool = False) -> Callable[[], Graph]:
    """A tanh on the accelerator, read by ``target`` or, ``beside``, by nobody else."""

    def build() -> Graph:
        b = GraphBuilder()
        y = b.input("y", SHAPE)
        codes = b.quantize(b.call("aten.tanh.default", b.quantized_input("x", SHAPE, INPUT)), INPUT)
        x = b.quantized_input("z", SHAPE, INPUT) if beside else b.dequantize(codes, INPUT)
        value = b.call(target, (x, y), 1, shape=(1, 8, 8, 8)) if "cat" in target else b.call(target, x, y)
        return b.output(b.requantize(value, INPUT), b.dequantize(codes, INPUT))

    return build


def _moved_in_float() -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, INPUT)
    moved = b.call("aten.permute.default", x, (0, 1, 3, 2), shape=SHAPE, annotated=False)
    value = b.call(
        "aten.cat.default", (moved, b.quantized_constant("other", SHAPE, INPUT.scale)), 1, shape=(1, 8, 8, 8)
    )
    return b.output(b.requantize(value, INPUT))


def _chosen() -> Graph:
    """An abs on the accelerator goes to a comparison, which cannot, and around it to what reads the comparison."""
    b = GraphBuilder()
    codes = b.quantize(b.call("aten.abs.default", b.quantized_input("x", SHAPE, INPUT)), INPUT)
    number = b.call("aten.full.default", (1,), 0.5, shape=(1,))
    mask = b.call("aten.gt.Tensor", b.dequantize(codes, INPUT), number, shape=SHAPE, dtype="bool")
    other = b.quantized_input("y", SHAPE, INPUT)
    chosen = b.call("aten.where.self", mask, other, b.dequantize(codes, INPUT), shape=SHAPE)
    return b.output(b.requantize(chosen, INPUT))


def _number(target: str) -> Callable[[], Graph]:
    """A number beside a quantized tensor, or in place of what a mask hides of it."""

    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", SHAPE, INPUT)
        operands: tuple[Arg, ...] = (x, b.input("mask", SHAPE, "bool"), 0.5) if "masked" in target else (x, 0.5)
        return b.output(b.requantize(b.call(target, *operands, shape=SHAPE), INPUT if "masked" in target else OUTPUT))

    return build


def _put(data: str, *, before: str = "", result: bool = True, into_codes: bool = False) -> Callable[[], Graph]:
    """Two columns of ``data``, an input in float, a buffer or one that is ``written``, become codes; or the reverse."""

    def build() -> Graph:
        b = GraphBuilder()
        values = b.input("y", (1, 2, 8, 8)) if into_codes else b.quantized_input("x", (1, 2, 8, 8), INPUT)
        if before == "relu":
            values = b.requantize(b.call("aten.relu.default", values), INPUT)
        elif before:
            values = b.call(before, values, (0, 1, 3, 2), shape=(1, 2, 8, 8))
        if into_codes:
            whole = b.quantized_input("x", SHAPE, INPUT)
        else:
            whole = b.input("y", SHAPE) if data == "input" else b.constant("y", SHAPE, "float32")
        places = b.constant("places", (2,), "int64", (1, 3))
        target = "aten.index_put_.default" if data == "written" else "aten.index_put.default"
        put = b.call(target, whole, (None, places), values, shape=SHAPE)
        return b.output(b.requantize(put, INPUT) if result else put)

    return build


BAD = (
    Example("add of a quantized and a float tensor", _graph("aten.add.Tensor")),
    Example("cat of a quantized and a float tensor", _graph("aten.cat.default", listed=True)),
    Example("maximum of a quantized and a float tensor", _graph("aten.maximum.default")),
    Example("cat of a float tensor and one from the accelerator", _after("aten.cat.default")),
    Example("maximum of a float tensor and one from the accelerator", _after("aten.maximum.default")),
    Example("cat of a float tensor, beside what else is computed", _after("aten.cat.default", beside=True)),
    Example("cat of a constant and what was moved in float", _moved_in_float),
    Example("comparison of a quantized and a float tensor", _graph("aten.gt.Tensor")),
    Example("bmm of a quantized and a float tensor", _graph("aten.bmm.default")),
    Example("matmul of a quantized and a float tensor", _graph("aten.matmul.default")),
    Example("where between a quantized and a float tensor", _graph("aten.where.self")),
    Example("codes plus a number", _number("aten.add.Tensor")),
    Example("codes times a number", _number("aten.mul.Tensor")),
    Example("codes subtracted from a number", _number("aten.rsub.Scalar")),
    Example("masked_fill of codes with a number", _number("aten.masked_fill.Scalar")),
    Example("comparison with a number in float, and a choice by it", _chosen),
    Example("index_put of codes into a buffer that is written", _put("written")),
    Example("index_put of computed codes into a buffer that is written", _put("written", before="relu")),
    Example("index_put of computed codes into a float tensor", _put("input", before="relu", result=False)),
    Example("index_put of permuted codes into a float tensor", _put("input", before="aten.permute.default")),
    Example("index_put of codes into a constant", _put("constant")),
    Example("index_put of floats into codes", _put("", into_codes=True)),
)

GOOD = (Example("where between two quantized tensors", _graph("aten.where.self", both=True)),)
