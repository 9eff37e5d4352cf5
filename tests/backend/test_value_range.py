"""Ranges of values before they are quantized: followed as far as they are known and no further."""

from __future__ import annotations

import math

import pytest

from fuseguard.backend.int32_rescales import fused_rescales
from fuseguard.backend.value_range import Reach
from fuseguard.ir import View
from fuseguard.ir.builder import GraphBuilder, int8

SHAPE = (1, 4, 8, 8)


def reached(*ops: str) -> tuple[float, float]:
    """The range of the last of some ops on one input, each quantized in between."""
    b, qparams = GraphBuilder(), int8(0.1)
    value = b.quantized_input("x", SHAPE, qparams)
    for op in ops:
        name, _, rest = op.partition(" ")
        arguments = tuple(float(item) for item in rest.split())
        made = b.call(f"aten.{name}", value, *arguments)
        value = b.requantize(made, qparams)
    graph = b.output(value)
    return Reach(View(graph)).of(graph[made])


@pytest.mark.parametrize(
    ("ops", "low", "high"),
    [
        (("sigmoid.default",), 1 / (1 + math.exp(12.8)), 1 / (1 + math.exp(-12.7))),
        (("sigmoid.default", "neg.default"), -1.0, 0.0),
        (("relu.default", "exp.default"), 1.0, math.exp(12.7)),
        (("relu.default", "add.Tensor 0.5", "reciprocal.default"), 1 / 12.7, 2.0),
        (("relu.default", "rsqrt.default"), -math.inf, math.inf),
        (("rsqrt.default",), -math.inf, math.inf),
        (("pow.Tensor_Scalar 2",), 0.0, 12.8**2),
        (("relu.default",), 0.0, 12.7),
        (("hardtanh.default -1 6",), -1.0, 6.0),
        (("relu.default", "permute.default"), 0.0, 12.7),
        (("abs.default",), 0.0, 12.8),
        (("tanh.default", "abs.default"), 0.0, 1.0),
        (("tanh.default", "mul.Tensor 3"), -3.0, 3.0),
        (("cos.default", "sub.Tensor 5"), -6.0, -4.0),
        (("round.default",), -13.0, 13.0),
        (("silu.default",), -math.inf, math.inf),
    ],
)
def test_ranges_follow_from_what_is_computed(ops: tuple[str, ...], low: float, high: float) -> None:
    """What is unknown is anything; a quantize op bounds it again."""
    assert reached(*ops) == pytest.approx((low, high), rel=5e-5)
    assert reached(*ops, "permute.default")[0] >= -12.8


def test_past_a_quantize_op_that_is_left_out_values_are_wider() -> None:
    b = GraphBuilder()
    wide, narrow = int8(0.05), int8(0.01)
    value = b.quantized_input("x", SHAPE, wide)
    value = b.requantize(b.call("aten.add.Tensor", value, b.quantized_input("y", SHAPE, wide)), narrow)
    last = b.call("aten.add.Tensor", value, b.quantized_input("z", SHAPE, wide))
    graph = b.output(b.requantize(last, narrow))
    view = View(graph)
    assert Reach(view).of(graph[last]) == pytest.approx((-1.28 - 6.4, 1.27 + 6.35), rel=5e-5)
    assert Reach(view, fused_rescales(view)).of(graph[last]) == pytest.approx((-3 * 6.4, 3 * 6.35), rel=5e-5)


def test_a_long_chain_of_values_is_followed_in_linear_time() -> None:
    """Each value twice in the next one: followed naively this takes two to the power of the length."""
    b = GraphBuilder()
    value = b.quantized_input("x", SHAPE, int8(0.1))
    for _ in range(400):
        value = b.requantize(b.call("aten.add.Tensor", value, value), int8(0.1))
    graph = b.output(value)
    assert Reach(View(graph)).of(graph[value]) == pytest.approx((-12.8, 12.7))
