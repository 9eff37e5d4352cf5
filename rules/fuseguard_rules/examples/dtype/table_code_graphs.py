"""Graphs in which codes of lookup tables travel, for the examples of DT508."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8

_SHAPE = (1, 4, 8, 8)
SIGMOID = ("aten.sigmoid.default", _SHAPE, ())
FLOOR = ("aten.floor.default", _SHAPE, ())
ABS = ("aten.abs.default", _SHAPE, ())
RELU = ("aten.relu.default", _SHAPE, ())
AVERAGE = ("aten.avg_pool2d.default", (1, 4, 4, 4), ((2, 2), (2, 2)))
MAX_POOL = ("aten.max_pool2d.default", (1, 4, 4, 4), ((2, 2), (2, 2)))
AMAX = ("aten.amax.default", (1, 1, 8, 8), ((1,), True))
LINEAR = ("aten.linear.default", (1, 4, 8, 3), ())
PERMUTE = ("aten.permute.default", (1, 8, 1, 8), ((0, 2, 1, 3),))


def row(*ops: tuple[str, tuple[int, ...], tuple[object, ...]], mixed: str = "") -> Callable[[], Graph]:
    """Ops in a row, each with a Q and DQ after it. ``mixed``: a where between their result (as its ``first`` or
    ``second`` branch) and an int8 tensor.
    """

    def build() -> Graph:
        b = GraphBuilder()
        qparams = int8(1 / 255.3, -128)
        value = b.quantized_input("x", (1, 4, 8, 8), int8(0.0487, 3))
        other = b.quantized_input("y", (1, 4, 8, 8), qparams) if mixed else ""
        for target, shape, rest in ops:
            extra = (b.quantized_constant("weight", (3, 8), 0.0103), None) if "linear" in target else rest
            value = b.requantize(b.call(target, value, *extra, shape=shape), qparams)  # type: ignore[arg-type]
        if mixed:
            branches = (value, other) if mixed == "first" else (other, value)
            chosen = b.call("aten.where.self", b.input("mask", (1, 4, 8, 8), "bool"), *branches)
            value = b.requantize(chosen, qparams)
        return b.output(value)

    return build


def _chosen_twice(*, alike: bool) -> Graph:
    b = GraphBuilder()
    qparams = int8(1 / 255.3, -128)
    mask = b.input("mask", _SHAPE, "bool")
    x, y = b.quantized_input("x", _SHAPE, int8(0.0487, 3)), b.quantized_input("y", _SHAPE, qparams)
    gate = b.requantize(b.call("aten.sigmoid.default", x), qparams)
    chosen = b.requantize(b.call("aten.where.self", mask, y, gate), qparams)
    branches = (b.requantize(b.call("aten.tanh.default", x), qparams), chosen) if alike else (chosen, y)
    return b.output(b.requantize(b.call("aten.where.self", mask, *branches), qparams))


def chosen_twice() -> Graph:
    """A choice between a choice of int8 and a sigmoid's codes, and int8."""
    return _chosen_twice(alike=False)


def chosen_twice_alike() -> Graph:
    """A choice between a tanh's codes and a choice of int8 and a sigmoid's: both branches count as floats."""
    return _chosen_twice(alike=True)


def conv1d() -> Graph:
    """A sigmoid and a convolution that ends the program."""
    b = GraphBuilder()
    qparams = int8(1 / 255.3, -128)
    x = b.quantized_input("x", (1, 4, 8), int8(0.0487, 3))
    value = b.requantize(b.call("aten.sigmoid.default", x), qparams)
    weight = b.quantized_constant("weight", (4, 4, 3), 0.0103)
    value = b.call("aten.conv1d.default", value, weight, None, shape=(1, 4, 6))
    return b.output(b.requantize(value, int8(0.0217, 5)))


def gated() -> Graph:
    """An input times its sigmoid, pooled."""
    b = GraphBuilder()
    qparams = int8(1 / 255.3, -128)
    x = b.quantized_input("x", _SHAPE, int8(0.0487, 3))
    gate = b.requantize(b.call("aten.sigmoid.default", x), qparams)
    value = b.requantize(b.call("aten.mul.Tensor", x, gate), int8(0.0331, -9))
    return b.output(
        b.requantize(b.call("aten.avg_pool2d.default", value, (2, 2), (2, 2), shape=(1, 4, 4, 4)), int8(0.0331, -9))
    )


def product(target: str = "aten.sigmoid.default", *, gated: bool = False, twice: bool = False) -> Graph:
    """A matrix product of an int8 tensor and what ``target`` makes of another one; ``gated``: multiplied with that one
    again; ``twice``: what ``target`` made is the other operand as well.
    """
    b = GraphBuilder()
    qparams = int8(0.0487, 3)
    x, y = (b.quantized_input(name, (1, 4, 4), qparams) for name in "xy")
    gate = b.requantize(b.call(target, x), qparams if "relu" in target else int8(1 / 255.3, -128))
    value = b.requantize(b.call("aten.mul.Tensor", x, gate), int8(0.0331, -9)) if gated else gate
    operands = (value, gate) if twice else (y, value) if gated else (value, y)
    return b.output(b.requantize(b.call("aten.bmm.default", *operands), int8(0.1713, 2)))


def made(*, first: bool = True, pooled: bool = False) -> Graph:
    """A choice between ones that the program makes, as its ``first`` branch or its second, and int8; or their pool."""
    b = GraphBuilder()
    qparams = int8(1 / 255, -128)
    ones = b.requantize(b.call("aten.ones.default", _SHAPE, shape=_SHAPE), qparams)
    if pooled:
        pool = b.requantize(b.call(AVERAGE[0], ones, *AVERAGE[2], shape=AVERAGE[1]), qparams)
        other = b.quantized_input("x", AVERAGE[1], int8(0.0487, 3))
        return b.output(b.requantize(b.call("aten.add.Tensor", other, pool), int8(0.0577, 3)))
    x = b.quantized_input("x", _SHAPE, qparams)
    branches = (ones, x) if first else (x, ones)
    return b.output(b.requantize(b.call("aten.where.self", b.input("mask", _SHAPE, "bool"), *branches), qparams))


def product_of_made() -> Graph:
    """A matrix product of ones that the program makes and an int8 tensor."""
    b = GraphBuilder()
    ones = b.requantize(b.call("aten.ones.default", (1, 4, 4), shape=(1, 4, 4)), int8(1 / 255, -128))
    x = b.quantized_input("x", (1, 4, 4), int8(0.0487, 3))
    return b.output(b.requantize(b.call("aten.bmm.default", ones, x), int8(0.1713, 2)))
