"""Examples of QP301, collapsed-constant."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8, int16

if TYPE_CHECKING:
    import torch


def _mean(side: int) -> Graph:
    """What ``x.mean((2, 3), keepdim=True)`` of values in [0, 1] becomes from 1.3 on."""
    count = side * side
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 2, side, side), int8(1 / 255, -128))
    total = b.call("aten.sum.dim_IntList", x, (2, 3), True, shape=(1, 2, 1, 1))
    total = b.requantize(total, int8(0.00194 * count, -128))
    reciprocal = b.dequantize(b.constant("reciprocal", (1,)), int8(max(2.0**-16, 1 / count / 255), -128))
    product = b.call("aten.mul.Tensor", total, reciprocal, shape=(1, 2, 1, 1))
    return b.output(b.requantize(product, int8(0.00194, -128)))


def _wide_mean(side: int) -> Graph:
    """The same in A16W8, whose observers stop at a scale of 2**-12."""
    count = side * side
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 2, side, side), int16(1 / 32767))
    total = b.call("aten.sum.dim_IntList", x, (2, 3), True, shape=(1, 2, 1, 1))
    total = b.requantize(total, int16(1.94e-5 * count))
    reciprocal = b.dequantize(b.constant("reciprocal", (1,), "int16"), int16(2.0**-12))
    product = b.call("aten.mul.Tensor", total, reciprocal, shape=(1, 2, 1, 1))
    return b.output(b.requantize(product, int16(1.94e-5)))


def _filled(value: float, scale: float) -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 4, 4, 4), int8(0.0487, 3))
    constant = b.requantize(b.call("aten.full.default", (1,), value, shape=(1,)), int8(scale, -128))
    return b.output(b.requantize(b.call("aten.mul.Tensor", x, constant, shape=(1, 4, 4, 4)), int8(2.0**-16, -128)))


def _epsilon(scale: float) -> Graph:
    """A small number added to a variance, whose sum has steps of ``scale``."""
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 4, 4, 4), int8(scale, -128))
    epsilon = b.requantize(b.call("aten.full.default", (1,), 1e-5, shape=(1,)), int8(2.0**-16, -128))
    return b.output(b.requantize(b.call("aten.add.Tensor", x, epsilon, shape=(1, 4, 4, 4)), int8(scale, -128)))


def _lower_bound(value: float, low: int) -> Graph:
    """``maximum(x, value)``, as cosine_similarity and normalize have it of a norm, with codes from ``low`` up."""
    b = GraphBuilder()
    norm = int8(2.0**-15, low)
    x = b.quantized_input("x", (1, 4, 4, 4), norm)
    filled = b.call("aten.full_like.default", x, value, shape=(1, 4, 4, 4))
    bound = b.requantize(filled, int8(2.0**-16, -128))
    return b.output(b.requantize(b.call("aten.maximum.default", x, bound), norm))


def _program(side: int) -> Callable[[], tuple[torch.nn.Module, tuple[torch.Tensor, ...]]]:
    def build() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
        from fuseguard_rules.examples.qparams.modules import mean_over

        return mean_over(side)

    return build


def _cosine() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    from fuseguard_rules.examples.qparams.modules import cosine

    return cosine()


BAD = (
    Example("mean over 112 x 112", lambda: _mean(112), _program(112)),
    Example(
        "A16W8 mean over 112 x 112",
        lambda: _wide_mean(112),
        _program(112),
        extensions=("int16",),
        config="a16w8",
    ),
    Example("multiplication by a full of 5e-5", lambda: _filled(5e-5, 2.0**-16)),
    Example("multiplication by a full of 5e-6", lambda: _filled(5e-6, 2.0**-16)),
)

GOOD = (
    Example("mean over 8 x 8", lambda: _mean(8), _program(8)),
    Example("mean over 128 x 128, whose reciprocal is four codes exactly", lambda: _mean(128)),
    Example("multiplication by a full of 5e-3", lambda: _filled(5e-3, 5e-3 / 255)),
    Example("epsilon that is beneath the steps of its sum", lambda: _epsilon(0.0079)),
    Example("lower bound of 1e-8, which is beneath the steps of what it bounds", lambda: _lower_bound(1e-8, -128)),
    Example(
        "cosine similarity, whose epsilon of 1e-8 is beneath the steps of the norms",
        lambda: _lower_bound(1e-8, -100),
        _cosine,
    ),
)
