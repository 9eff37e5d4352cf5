"""Examples of DT509, cumulative-sum-dtype-mismatch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fuseguard.engine import (
    Example,
)
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, full_int16, int8

if TYPE_CHECKING:
    import torch


_SHAPE = (1, 4, 8, 8)
_CUMSUM = "aten.cumsum.default"
_IN, _OUT = int8(0.0487, 3), int8(0.0713, 2)


def _row(*ops: str) -> Callable[[], Graph]:
    """Ops in a row, each with a Q and DQ after it."""

    def build() -> Graph:
        b = GraphBuilder()
        value = b.quantized_input("x", _SHAPE, _IN)
        for target in ops:
            args = (1,) if target == _CUMSUM else ()
            value = b.requantize(b.call(target, value, *args, shape=_SHAPE), _OUT)
        return b.output(value)

    return build


def _int16() -> Graph:
    b = GraphBuilder()
    qparams = full_int16(0.0002)
    value = b.call(_CUMSUM, b.quantized_input("x", _SHAPE, qparams), 1, shape=_SHAPE)
    return b.output(b.requantize(value, full_int16(0.0008)))


def _chosen(*, first: bool) -> Callable[[], Graph]:
    """A choice between a cumulative sum, as its first branch or its second, and an int8 tensor."""

    def build() -> Graph:
        b = GraphBuilder()
        x, y = b.quantized_input("x", _SHAPE, _IN), b.quantized_input("y", _SHAPE, _OUT)
        total = b.requantize(b.call(_CUMSUM, x, 1, shape=_SHAPE), _OUT)
        branches = (total, y) if first else (y, total)
        return b.output(b.requantize(b.call("aten.where.self", b.input("mask", _SHAPE, "bool"), *branches), _OUT))

    return build


def _chosen_twice(*, sum_first: bool) -> Callable[[], Graph]:
    """A choice between a choice of int8 and a cumulative sum, and int8; or between such a sum and such a choice."""

    def build() -> Graph:
        b = GraphBuilder()
        x, y = b.quantized_input("x", _SHAPE, _IN), b.quantized_input("y", _SHAPE, _OUT)
        mask = b.input("mask", _SHAPE, "bool")
        total = b.requantize(b.call(_CUMSUM, x, 1, shape=_SHAPE), _OUT)
        inner = b.requantize(b.call("aten.where.self", mask, y, total), _OUT)
        branches = (b.requantize(b.call(_CUMSUM, x, 2, shape=_SHAPE), _OUT), inner) if sum_first else (inner, y)
        return b.output(b.requantize(b.call("aten.where.self", mask, *branches), _OUT))

    return build


def _product() -> Graph:
    b = GraphBuilder()
    x, y = b.quantized_input("x", (1, 8, 8), _IN), b.quantized_input("y", (1, 8, 8), _IN)
    total = b.requantize(b.call(_CUMSUM, x, 1, shape=(1, 8, 8)), _OUT)
    return b.output(b.requantize(b.call("aten.bmm.default", total, y, shape=(1, 8, 8)), int8(0.0931, -4)))


def _made(*, added: bool = False) -> Graph:
    """An int8 tensor and a cumulative sum of ones that the program makes; ``added``: of their sum with that tensor."""
    b = GraphBuilder()
    x = b.quantized_input("x", _SHAPE, _IN)
    value = b.requantize(b.call("aten.ones.default", _SHAPE, shape=_SHAPE), int8(1 / 255, -128))
    if added:
        value = b.requantize(b.call("aten.add.Tensor", x, value), _OUT)
    total = b.requantize(b.call(_CUMSUM, value, 1, shape=_SHAPE), _OUT)
    return b.output(b.requantize(b.call("aten.add.Tensor", x, total), int8(0.0931, -4)))


def _ones_summed() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    from fuseguard_rules.examples.dtype import modules as example_modules

    return example_modules.ones_summed()


def _sigmoid_summed() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    from fuseguard_rules.examples.dtype import modules as example_modules

    return example_modules.sigmoid_summed()


BAD = (
    Example("cumsum of int16 codes", _int16, extensions=("int16",)),
    Example("cumsum of a sigmoid", _row("aten.sigmoid.default", _CUMSUM), _sigmoid_summed),
    Example("cumsum of a relu of a tanh", _row("aten.tanh.default", "aten.relu.default", _CUMSUM)),
    Example("cumsum of a cumsum", _row(_CUMSUM, _CUMSUM)),
    Example("cumsum of a relu of a cumsum", _row(_CUMSUM, "aten.relu.default", _CUMSUM)),
    Example("cumsum of ones", _made, _ones_summed, only_on=">=1.3"),
    Example("where between a cumsum and an int8 tensor", _chosen(first=True)),
    Example("where between an int8 tensor and what chooses between it and a cumsum", _chosen_twice(sum_first=False)),
    Example("bmm of a cumsum and an int8 tensor", _product, only_on="<1.4"),
)

GOOD = (
    Example("cumsum of int8 codes", _row(_CUMSUM)),
    Example("cumsum of a relu", _row("aten.relu.default", _CUMSUM)),
    Example("cumsum of a floor, which keeps int8", _row("aten.floor.default", _CUMSUM)),
    Example("cumsum of a sum with ones", lambda: _made(added=True)),
    Example("sigmoid of a cumsum", _row(_CUMSUM, "aten.sigmoid.default")),
    Example("cumsum of an abs of a cumsum", _row(_CUMSUM, "aten.abs.default", _CUMSUM)),
    Example("where between an int8 tensor and a cumsum", _chosen(first=False)),
    Example("where between a cumsum and what may be one", _chosen_twice(sum_first=True)),
)
