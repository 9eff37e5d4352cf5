"""Predicates of the BO rules on small graphs.

Protects: that a fully quantized program and one whose halves share a fate are left alone, and that the whole split is
refused.
"""

from __future__ import annotations

from fuseguard.engine import Effect, Finding
from fuseguard.ir import Graph, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target
from fuseguard_rules.boundary.float_tail import FloatTailLeavesDelegate

TARGET = Target.parse("TOSA-1.0+INT", "1.5.1")
QPARAMS = int8(0.0487, 3)


def check(graph: Graph, target: Target = TARGET) -> list[Finding]:
    return list(FloatTailLeavesDelegate().check(View(graph), target))


def split(b: GraphBuilder) -> list[str]:
    halves = b.call("aten.split.Tensor", b.quantized_input("x", (1, 8, 4, 4), QPARAMS), 4, 1)
    parts = [b.call("operator.getitem", halves, part, shape=(1, 4, 4, 4)) for part in (0, 1)]
    return [b.requantize(part, QPARAMS) for part in parts]


def test_the_split_and_all_its_parts_are_refused() -> None:
    b = GraphBuilder()
    first, second = split(b)
    slow = b.requantize(b.call("aten.exp.default", first, annotated=False), QPARAMS)
    (finding,) = check(b.output(slow, b.requantize(b.call("aten.tanh.default", second), QPARAMS)))
    assert {"split", "getitem", "getitem_1"} <= set(finding.cluster)
    assert finding.effect is Effect.RUNTIME_FAULT


def test_a_half_that_ends_in_float_on_the_cpu_is_no_fault() -> None:
    """Nothing comes back to the accelerator, so the partitions need not part."""
    b = GraphBuilder()
    first, second = split(b)
    slow = b.call("aten.exp.default", first, annotated=False)
    assert check(b.output(slow, b.requantize(b.call("aten.tanh.default", second), QPARAMS))) == []


def test_an_annotated_op_whose_output_is_not_quantized_counts_as_float() -> None:
    """What PT2E makes of a submodule that is left out: exp is annotated, and its result goes on in float."""
    b = GraphBuilder()
    first, second = split(b)
    slow = b.requantize(b.call("aten.mul.Tensor", b.call("aten.exp.default", first), first), QPARAMS)
    assert len(check(b.output(slow, b.requantize(b.call("aten.tanh.default", second), QPARAMS)))) == 1


def test_an_op_that_the_backend_does_not_know_stays_on_the_cpu() -> None:
    b = GraphBuilder()
    first, second = split(b)
    slow = b.requantize(b.call("aten.special_bessel_j0.default", first), QPARAMS)
    assert len(check(b.output(slow, b.requantize(b.call("aten.tanh.default", second), QPARAMS)))) == 1


def test_a_convolution_with_its_activation_is_no_float_op() -> None:
    """The activation owns the output qparams; the pair is delegated."""
    b = GraphBuilder()
    first, second = split(b)
    weight = b.quantized_constant("weight", (4, 4, 1, 1))
    relu = b.call("aten.relu.default", b.call("aten.conv2d.default", first, weight, shape=(1, 4, 4, 4)))
    assert check(b.output(b.requantize(relu, int8(0.02, -128)), second)) == []


def test_where_q_and_dq_are_lowered_it_is_a_note() -> None:
    for example in FloatTailLeavesDelegate.bad:
        (finding,) = check(example.graph(), Target.parse("TOSA-1.0+INT+FP", "1.5.1"))
        assert finding.effect is Effect.EXACT
