"""The model of CheckArmQuantized and CheckProperQuantization: what an INT-only backend takes, and why not the rest.

Protects: one model of that check. Two that disagreed on 21 kinds let a torn split pass.
"""

from __future__ import annotations

import pytest

from fuseguard.backend.op_sets import ON_FP, ON_INT, REGISTERED_CHECKS
from fuseguard.backend.proper_quantization import Refusal, is_targeted, is_unlisted, refusal
from fuseguard.ir import Graph, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import MEASURED_RELEASES, Target
from fuseguard_testkit.proper_quantization_cases import QPARAMS, SHAPE, Case, cases, fused_graph

CASES = tuple(cases())
#: What the edge dialect makes other ops of before a list is asked.
DECOMPOSED = {"aten.floor_divide.default", "aten.glu.default", "aten.slice_scatter.default"}


def target(release: str = "1.5.1") -> Target:
    return Target.parse("TOSA-1.0+INT", release)


def refused(graph: Graph, name: str, release: str = "1.5.1") -> Refusal | None:
    return refusal(View(graph), graph[name], target(release))


@pytest.mark.parametrize("release", MEASURED_RELEASES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_op_is_refused_for_the_reason_that_the_backend_gives(case: Case, release: str) -> None:
    graph = case.graph()
    (node,) = (node for node in graph if node.target == case.op.target)
    listed = not case.op.since or target(release).release_in(f">={case.op.since}")
    assert refusal(View(graph), node, target(release)) is case.expected(listed)


@pytest.mark.parametrize("release", MEASURED_RELEASES)
def test_what_the_int_list_has_is_that_of_the_release(release: str) -> None:
    taken = ON_INT.on(release) | REGISTERED_CHECKS.on(release)
    for op in ON_FP.on(release) | taken:
        b = GraphBuilder()
        name = b.call(op, b.quantized_input("x", SHAPE, QPARAMS))
        node = b.output(b.requantize(name, QPARAMS))[name]
        if op.startswith("aten.") and op not in DECOMPOSED:
            assert is_unlisted(node, target(release)) == (op not in taken), op


def test_what_is_not_annotated_is_refused_unless_it_works_on_integers_or_is_a_constant_for_a_q() -> None:
    b = GraphBuilder()
    plain = b.call("aten.abs.default", b.quantized_input("x", SHAPE, QPARAMS), annotated=False)
    counts = b.call("aten.add.Tensor", b.input("i", (2,), "int32"), b.input("j", (2,), "int32"), annotated=False,
                    dtype="int32")  # fmt: skip
    ones = b.call("aten.ones.default", SHAPE, shape=SHAPE, annotated=False)
    graph = b.output(b.requantize(plain, QPARAMS), counts, b.requantize(ones, QPARAMS))
    assert refused(graph, plain) is Refusal.NOT_ANNOTATED
    assert refused(graph, counts) is None
    assert refused(graph, ones) is None


def test_a_size_is_a_reader_like_a_q_from_1_4_on_and_never_an_operand() -> None:
    b = GraphBuilder()
    value = b.call("aten.relu.default", b.quantized_input("x", SHAPE, QPARAMS))
    size = b.call("aten.sym_size.int", value, 2, shape=(), dtype="int64")
    scaled = b.call("aten.mul.Tensor", b.quantized_input("y", SHAPE, QPARAMS), size)
    graph = b.output(b.requantize(value, QPARAMS), b.requantize(scaled, QPARAMS))
    nodes = [
        node if node.name != size else type(node)(size, "call", node.target, node.args, index=node.index)
        for node in graph
    ]
    sized = Graph(nodes)
    assert refused(sized, value, "1.3.1") is Refusal.FLOAT_OUTPUT
    assert refused(sized, value, "1.4.1") is None
    assert refused(sized, scaled) is Refusal.SYMBOLIC_INPUT


@pytest.mark.parametrize(
    ("graph", "anchor", "activation", "before_1_5", "since_1_5"),
    [
        (fused_graph("relu", -128), "conv2d", "relu", True, True),
        (fused_graph("relu", 3), "conv2d", "relu", False, True),
        (fused_graph("relu6", -128), "conv2d", "relu6", True, True),  # 6 is above the range
        (fused_graph("hardtanh", -128, 0.0, 2.0), "conv2d", "hardtanh", True, False),
        (fused_graph("hardtanh", -128, 0.0, 5.1), "conv2d", "hardtanh", True, True),
        (fused_graph("hardtanh", -128, -1.0, 5.1), "conv2d", "hardtanh", False, False),
        (fused_graph("relu", -128, anchor="mm"), "mm", "relu", False, False),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_activation_and_its_anchor_are_taken_together_where_saturation_replaces_it(
    graph: Graph, anchor: str, activation: str, before_1_5: bool, since_1_5: bool
) -> None:
    for release, taken in (("1.4.1", before_1_5), ("1.5.1", since_1_5)):
        assert refused(graph, anchor, release) is (None if taken else Refusal.FLOAT_OUTPUT)
        assert refused(graph, activation, release) is (None if taken else Refusal.FLOAT_INPUT)


def test_a_clamp_is_taken_and_the_anchor_in_front_of_it_is_not() -> None:
    graph = fused_graph("clamp", -128, 0.0, 5.1)
    assert refused(graph, "conv2d") is Refusal.FLOAT_OUTPUT
    assert refused(graph, "clamp") is None


def test_an_anchor_with_two_readers_is_refused_though_one_is_a_q() -> None:
    b = GraphBuilder()
    x, weight = b.quantized_input("x", SHAPE, QPARAMS), b.quantized_constant("weight", (4, 4, 1, 1))
    made = b.call("aten.conv2d.default", x, weight, shape=SHAPE)
    relu = b.requantize(b.call("aten.relu.default", made), int8(0.02, -128))
    graph = b.output(relu, b.requantize(made, QPARAMS))
    assert refused(graph, made) is Refusal.FLOAT_OUTPUT
    assert refused(graph, "relu") is Refusal.FLOAT_INPUT


def test_a_float_bias_is_a_float_operand() -> None:
    b = GraphBuilder()
    x, weight = b.quantized_input("x", SHAPE, QPARAMS), b.quantized_constant("weight", (4, 4, 1, 1))
    made = b.call("aten.conv2d.default", x, weight, b.constant("bias", (4,), "float32"), shape=SHAPE)
    assert refused(b.output(b.requantize(made, QPARAMS)), made) is Refusal.FLOAT_INPUT


def test_the_values_of_a_pool_with_indices_are_read_through_a_getitem() -> None:
    for ends_in_q in (True, False):
        b = GraphBuilder("edge")
        pool = b.call("aten.max_pool2d_with_indices.default", b.quantized_input("x", SHAPE, QPARAMS), (2, 2), (2, 2))
        values = b.call("operator.getitem", pool, 0, shape=(1, 4, 4, 4))
        graph = b.output(b.requantize(values, QPARAMS) if ends_in_q else values)
        assert refused(graph, pool) is (None if ends_in_q else Refusal.FLOAT_OUTPUT)


def test_what_the_edge_dialect_puts_data_movement_around_is_never_taken() -> None:
    b = GraphBuilder()
    pooled = b.call("aten.max_pool1d.default", b.quantized_input("x", (1, 4, 8), QPARAMS), (2,), shape=(1, 4, 7))
    first, second = (b.quantized_input(name, (1, 8, 8), QPARAMS) for name in "yz")
    batched = b.call("aten.matmul.default", first, second)
    flat = b.call("aten.matmul.default", *(b.quantized_input(name, (8, 8), QPARAMS) for name in "vw"))
    graph = b.output(*(b.requantize(value, QPARAMS) for value in (pooled, batched, flat)))
    assert refused(graph, pooled) is refused(graph, batched) is Refusal.FLOAT_INPUT
    assert refused(graph, flat) is None


def test_without_a_release_every_op_that_some_release_targets_counts() -> None:
    graph = Case(next(case.op for case in CASES if case.op.since), "quantized").graph()
    node = graph["log10"]
    assert is_targeted(node)
    assert not is_unlisted(node)
    assert not is_targeted(node, target("1.2.0"))
    assert is_unlisted(node, target("1.2.0"))
