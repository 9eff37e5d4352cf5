"""OP728 where its examples do not reach, torch-free.

Protects: no convolution is refused whose weight is a constant, whatever the graph tells of its inputs.
"""

from __future__ import annotations

import pytest

from fuseguard.engine import Effect
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard_rules.operator.op728_weight_not_constant import WeightNotConstant
from fuseguard_testkit.linting import find

QPARAMS = int8(0.05)
SHAPES = ((1, 4, 6, 6), (3, 4, 3, 3), (1, 3, 4, 4))


def convolution(weight: str, *, annotated: bool = False, quantized: bool = True, activation: bool = False) -> Graph:
    b = GraphBuilder()
    data, weights, result = SHAPES
    x = b.requantize(b.call("aten.abs.default", b.quantized_input("x", data, QPARAMS)), QPARAMS)
    bias = b.constant("bias", (3,), "float32")
    if weight == "input":
        w = b.input("w", weights)
    elif weight == "function of a constant":
        w = b.call("aten.exp.default", b.constant("w", weights, "float32"), annotated=False)
    elif weight == "function of both":
        scaled = b.call("aten.mul.Tensor", b.input("s", (1,)), b.constant("w", weights, "float32"), annotated=False)
        w = b.call("aten.view.default", scaled, weights, shape=weights, annotated=False)
    else:
        w = b.quantized_constant("w", weights)
    value = b.call("aten.conv2d.default", x, w, bias, shape=result, annotated=annotated)
    if activation:
        value = b.call("aten.relu.default", value, annotated=annotated)
    return b.output(b.requantize(value, QPARAMS) if quantized else value)


@pytest.mark.parametrize(
    ("weight", "found"),
    [("input", True), ("function of both", True), ("function of a constant", False), ("stored", False)],
)
@pytest.mark.parametrize("quantized", [True, False])
def test_a_weight_is_computed_if_an_input_has_a_part_in_it(weight: str, found: bool, quantized: bool) -> None:
    graph = convolution(weight, quantized=quantized)
    effects = [finding.effect for finding in find(WeightNotConstant(), graph, release="1.5.1")]
    assert effects == ([Effect.CRASH] if found else [])
    effects = [finding.effect for finding in find(WeightNotConstant(), graph, "TOSA-1.0+INT", release="1.5.1")]
    assert effects == ([Effect.CPU_FALLBACK] if found else [])


def test_the_activation_is_refused_with_its_convolution() -> None:
    (finding,) = find(WeightNotConstant(), convolution("input", activation=True))
    assert {"conv2d", "relu"} <= set(finding.cluster)


@pytest.mark.parametrize("weight", ["input", "stored"])
def test_a_weight_in_float_of_an_annotated_convolution_is_left_to_another_rule(weight: str) -> None:
    assert not find(WeightNotConstant(), convolution(weight, annotated=True))


@pytest.mark.parametrize("computed", [True, False])
def test_without_labels_only_what_is_quantized_is_computed(computed: bool) -> None:
    """So the plug-in sees a program: parameters are placeholders like any other."""
    b = GraphBuilder("edge")
    data, weights, result = SHAPES
    x = b.quantized_input("x", data, QPARAMS)
    weight = b.quantized_input("w", weights, QPARAMS) if computed else None
    codes = weight or b.dequantize(b.input("w", weights, "int8"), QPARAMS)
    value = b.call("aten.convolution.default", x, codes, None, (1, 1), (0, 0), (1, 1), False, (0, 0), 1, shape=result)
    assert bool(find(WeightNotConstant(), b.output(b.requantize(value, QPARAMS)))) == computed


def test_a_product_of_two_computed_values_has_no_weight() -> None:
    b = GraphBuilder()
    x, y = (b.quantized_input(name, (4, 4), QPARAMS) for name in ("x", "y"))
    assert not find(WeightNotConstant(), b.output(b.requantize(b.call("aten.matmul.default", x, y), QPARAMS)))


def test_a_weight_that_the_program_makes_is_a_constant_without_labels_too() -> None:
    """A good example of QD201 was announced as a crash: it has no constants that would be labelled."""
    b = GraphBuilder()
    data, weights, result = SHAPES
    made = b.requantize(b.call("aten.full.default", weights, 0.5, shape=weights), QPARAMS)
    value = b.call("aten.conv2d.default", b.quantized_input("x", data, QPARAMS), made, shape=result)
    assert not find(WeightNotConstant(), b.output(b.requantize(value, QPARAMS)))
    b = GraphBuilder()
    computed = b.requantize(b.call("aten.abs.default", b.quantized_input("w", weights, QPARAMS)), QPARAMS)
    value = b.call("aten.conv2d.default", b.quantized_input("x", data, QPARAMS), computed, shape=result)
    assert find(WeightNotConstant(), b.output(b.requantize(value, QPARAMS)))
