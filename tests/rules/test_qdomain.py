"""Predicates of the QD rules on small graphs.

Protects: chains of value-transparent ops, transitive merging, hypotheses that measurement disproved, and that a check
stays linear on shapes that invite a walk per node.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from functools import cache

import pytest

from fuseguard.engine import Duplicate, Effect, Finding, Insert, Pair, Rewrite, Rule, SwapOperands
from fuseguard.ir import Graph, View
from fuseguard.ir.builder import GraphBuilder, int8, int16
from fuseguard.target import Target
from fuseguard_rules.qdomain.qd201_duplicate_consumers_merged import DuplicateConsumersMerged
from fuseguard_rules.qdomain.qd202_value_transparent_requant import ValueTransparentRequant
from fuseguard_rules.qdomain.qd203_joined_inputs_disagree import JoinedInputsDisagree
from fuseguard_rules.qdomain.qd204_several_output_quantizers import SeveralOutputDomains
from fuseguard_rules.qdomain.qd205_range_poisoned_domain import RangePoisonedDomain
from fuseguard_testkit.linting import find

RULES: tuple[type[Rule], ...] = (
    DuplicateConsumersMerged, ValueTransparentRequant, JoinedInputsDisagree, SeveralOutputDomains, RangePoisonedDomain,
)  # fmt: skip
TARGET = Target.parse("TOSA-1.0+INT", "1.5.1")
SHAPE = (1, 4, 8, 8)
NARROW = int8(0.00397, -119)
WIDE = int8(0.01031, -119)


def check(rule: type[Rule], graph: Graph, target: Target = TARGET) -> list[Finding]:
    return list(rule().check(View(graph), target))


def codes(graph: Graph) -> list[str]:
    return [finding.code for rule in RULES for finding in check(rule, graph)]


# --- QD202 ----------------------------------------------------------------------------------------------


def test_a_chain_is_compared_at_its_ends() -> None:
    """The edge form of stack: unsqueeze and cat with no Q between. All of the chain must be refused."""
    b = GraphBuilder("edge")
    parts = [b.call("aten.unsqueeze_copy.default", b.quantized_input(n, SHAPE, NARROW), 0) for n in ("x", "y")]
    graph = b.output(b.requantize(b.call("aten.cat.default", tuple(parts), 0), WIDE))
    (finding,) = check(ValueTransparentRequant, graph)
    assert {"cat", "unsqueeze_copy", "unsqueeze_copy_1"} <= set(finding.cluster)


def test_both_halves_of_a_split_are_reported_and_refused_with_it() -> None:
    """Refusing one getitem of a split and not the split itself would leave half an op behind."""
    b = GraphBuilder()
    halves = b.call("aten.split.Tensor", b.quantized_input("x", SHAPE, NARROW), 2, 1)
    parts = [b.call("operator.getitem", halves, index, shape=(1, 2, 8, 8)) for index in (0, 1)]
    findings = check(ValueTransparentRequant, b.output(*(b.requantize(part, WIDE) for part in parts)))
    assert [finding.nodes[0] for finding in findings] == ["getitem", "getitem_1"]
    assert {"split", "getitem", "getitem_1"} <= set(findings[0].cluster)


def test_neg_may_change_the_zero_point_and_not_the_scale() -> None:
    for after, expected in ((int8(0.00397, -7), 0), (int8(0.0041, -119), 1)):
        b = GraphBuilder()
        value = b.call("aten.neg.default", b.quantized_input("x", SHAPE, NARROW))
        assert len(check(ValueTransparentRequant, b.output(b.requantize(value, after)))) == expected


def test_avg_pool2d_lost_its_zero_points_in_1_3() -> None:
    b = GraphBuilder()
    value = b.call("aten.avg_pool2d.default", b.quantized_input("x", SHAPE, NARROW), (2, 2))
    graph = b.output(b.requantize(value, int8(0.00397, -7)))
    for release, effect in (("1.2.0", Effect.EXACT), ("1.3.1", Effect.WRONG)):
        (finding,) = check(ValueTransparentRequant, graph, Target.parse("TOSA-1.0+INT", release))
        assert finding.effect is effect


def test_an_op_without_annotation_is_a_float_op() -> None:
    """The fold passes it by, so that its Q and DQ stay and requantize."""
    b = GraphBuilder()
    value = b.call("aten.permute.default", b.quantized_input("x", SHAPE, NARROW), (0, 2, 3, 1), annotated=False)
    assert codes(b.output(b.requantize(value, WIDE))) == []


def test_an_activation_after_an_anchor_carries_no_codes() -> None:
    b = GraphBuilder()
    x, weight = b.quantized_input("x", SHAPE, NARROW), b.quantized_constant("weight", (4, 4, 1, 1))
    relu = b.call("aten.relu.default", b.call("aten.conv2d.default", x, weight, shape=SHAPE))
    assert codes(b.output(b.requantize(relu, WIDE))) == []


def test_contiguous_is_no_op_by_then() -> None:
    """It leaves no node in the edge graph: DQ and Q meet and requantize."""
    b = GraphBuilder()
    value = b.call("aten.contiguous.default", b.quantized_input("x", SHAPE, NARROW))
    assert codes(b.output(b.requantize(value, WIDE))) == []


def test_unreadable_and_impossible_qparams_are_left_to_others() -> None:
    for bad in (int8(0.0), int8(float("nan")), int8(float("inf")), int8(-1.0)):
        b = GraphBuilder()
        value = b.call("aten.permute.default", b.quantized_input("x", SHAPE, bad), (0, 2, 3, 1))
        assert codes(b.output(b.requantize(value, WIDE))) == []


# --- QD203 ----------------------------------------------------------------------------------------------


def test_the_list_s_own_disagreement_is_reported_once() -> None:
    """Not as a changed domain besides, whatever the output has."""
    for after in (NARROW, WIDE, int8(0.3)):
        b = GraphBuilder()
        members = (b.quantized_input("x", SHAPE, NARROW), b.quantized_input("y", SHAPE, WIDE))
        assert codes(b.output(b.requantize(b.call("aten.cat.default", members, 1), after))) == ["QD203"]


def test_a_float_member_is_another_rule_s() -> None:
    b = GraphBuilder()
    members = (b.quantized_input("x", SHAPE, NARROW), b.input("y"), b.quantized_input("z", SHAPE, WIDE))
    assert codes(b.output(b.requantize(b.call("aten.cat.default", members, 1), NARROW))) == []


def test_a_list_is_compared_for_equality_before_1_3() -> None:
    """Less than half a step apart, or another qmin, is enough to stop the fold of 1.2."""
    for other in (int8(0.003971, -119), int8(0.00397, -119, -127)):
        b = GraphBuilder()
        members = (b.quantized_input("x", SHAPE, NARROW), b.quantized_input("y", SHAPE, other))
        graph = b.output(b.requantize(b.call("aten.cat.default", members, 1), NARROW))
        for release, effect in (("1.2.0", Effect.CRASH), ("1.5.1", Effect.EXACT)):
            (finding,) = check(JoinedInputsDisagree, graph, Target.parse("TOSA-1.0+INT", release))
            assert finding.effect is effect


def test_the_index_of_a_gather_is_no_member() -> None:
    b = GraphBuilder()
    index = b.input("index", SHAPE, "int64")
    value = b.call("aten.gather.default", b.quantized_input("x", SHAPE, NARROW), 1, index)
    assert codes(b.output(b.requantize(value, NARROW))) == []


# --- QD201 ----------------------------------------------------------------------------------------------


def two_branches(build: Callable[[GraphBuilder, str, int], str]) -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, NARROW)
    return b.output(*(build(b, x, branch) for branch in (0, 1)))


def test_users_of_merged_ops_are_compared_in_turn() -> None:
    def build(b: GraphBuilder, x: str, branch: int) -> str:
        inner = b.requantize(b.call("aten.tanh.default", x), int8(0.00787))
        outer = b.requantize(b.call("aten.abs.default", inner), int8(0.0041, -128))
        return b.requantize(b.call("aten.sigmoid.default", outer), (NARROW, WIDE)[branch])

    (finding,) = check(DuplicateConsumersMerged, two_branches(build))
    # With the duplicates it reads: one of them left behind is merged, and the guarded lowering crashes.
    assert finding.nodes == ("sigmoid_1", "abs_1", "tanh_1")


def test_refusing_the_first_difference_keeps_the_rest_apart() -> None:
    """After a refused twin the values are other tensors; reporting them too would refuse for nothing."""

    def build(b: GraphBuilder, x: str, branch: int) -> str:
        inner = b.requantize(b.call("aten.tanh.default", x), int8((0.00787, 0.031)[branch]))
        return b.requantize(b.call("aten.sigmoid.default", inner), (NARROW, WIDE)[branch])

    (finding,) = check(DuplicateConsumersMerged, two_branches(build))
    assert finding.nodes == ("tanh_1",)


@pytest.mark.parametrize("scalars", [(1, 1.0), (1, True), (1, 2)])
def test_arguments_that_python_takes_for_equal_are_told_apart(scalars: tuple[int, float]) -> None:
    def build(b: GraphBuilder, x: str, branch: int) -> str:
        return b.requantize(b.call("aten.pow.Tensor_Scalar", x, scalars[branch]), (NARROW, WIDE)[branch])

    assert check(DuplicateConsumersMerged, two_branches(build)) == []


def test_convolutions_that_share_a_weight_are_no_duplicates() -> None:
    """Measurement disproved the hypothesis of a fault here: other inputs, other ops."""
    b = GraphBuilder()
    weight = b.quantized_constant("weight", (4, 4, 1, 1))
    values = [
        b.requantize(b.call("aten.conv2d.default", b.quantized_input(name, SHAPE, qparams), weight), qparams)
        for name, qparams in (("x", NARROW), ("y", WIDE))
    ]
    assert codes(b.output(*values)) == []


def test_a_twin_that_changes_its_domain_is_reported_as_that() -> None:
    def build(b: GraphBuilder, x: str, branch: int) -> str:
        return b.requantize(b.call("aten.permute.default", x, (0, 2, 3, 1)), (NARROW, WIDE)[branch])

    assert codes(two_branches(build)) == ["QD202"]


# --- QD204 and QD205 ------------------------------------------------------------------------------------


def test_quantizing_a_program_input_twice_is_no_fault() -> None:
    """An input is not an op: its Qs stay."""
    b = GraphBuilder()
    x = b.input("x")
    assert codes(b.output(b.requantize(x, NARROW), b.requantize(x, WIDE))) == []


@pytest.mark.parametrize(
    ("target", "expected"), [("aten.sigmoid.default", 1), ("aten.abs.default", 1), ("aten.neg.default", 0)]
)
def test_tables_and_elementwise_ops_want_one_quantizer_and_not_one_qparams(target: str, expected: int) -> None:
    b = GraphBuilder()
    value = b.call(target, b.quantized_input("x", SHAPE, NARROW))
    graph = b.output(b.requantize(value, NARROW), b.requantize(value, NARROW))
    assert len(check(SeveralOutputDomains, graph)) == expected


def test_several_outputs_of_a_moving_op_are_reported_once() -> None:
    b = GraphBuilder()
    value = b.call("aten.permute.default", b.quantized_input("x", SHAPE, NARROW), (0, 2, 3, 1))
    assert codes(b.output(b.requantize(value, NARROW), b.requantize(value, WIDE))) == ["QD204"]


def repaired(rule: type[Rule], graph: Graph) -> Rewrite | None:
    (finding,) = check(rule, graph)
    return rule().repair(View(graph), TARGET, finding)


def test_an_op_that_computes_is_computed_once_for_each_set_of_qparams() -> None:
    """No requantization is exact here: what the first Q rounds away, the second cannot know."""
    b = GraphBuilder()
    value = b.call("aten.sigmoid.default", b.quantized_input("x", SHAPE, NARROW))
    graph = b.output(*(b.requantize(value, item) for item in (NARROW, WIDE, NARROW, WIDE, int8(0.0231))))
    rewrite = repaired(SeveralOutputDomains, graph)
    assert rewrite == Rewrite(
        (
            Duplicate(("sigmoid",), ("quantize_per_tensor_2", "quantize_per_tensor_4")),
            Duplicate(("sigmoid",), ("quantize_per_tensor_5",)),
        )
    )


def test_an_anchor_is_copied_with_its_activation() -> None:
    """A relu alone would be left with a convolution that has two users and no output qparams of its own."""
    b = GraphBuilder()
    weight = b.quantized_constant("w", (4, 4, 1, 1))
    value = b.call("aten.conv2d.default", b.quantized_input("x", SHAPE, NARROW), weight)
    value = b.call("aten.relu.default", value)
    graph = b.output(b.requantize(value, int8(0.02, -128)), b.requantize(value, int8(0.05, -128)))
    copy = Duplicate(("conv2d", "relu"), ("quantize_per_tensor_2",))
    assert repaired(SeveralOutputDomains, graph) == Rewrite((copy,))


def test_a_negation_is_requantized_in_the_mirrored_domain_and_not_computed_twice() -> None:
    b = GraphBuilder()
    value = b.call("aten.neg.default", b.quantized_input("x", SHAPE, NARROW))
    rewrite = repaired(SeveralOutputDomains, b.output(b.requantize(value, NARROW), b.requantize(value, WIDE)))
    assert rewrite is not None
    assert rewrite.exact
    (edit,) = rewrite.edits
    assert isinstance(edit, Insert)
    assert edit.steps == (Pair(int8(0.00397, 118)),)


@pytest.mark.parametrize("kind", ["pool", "float input", "unknown shape"])
def test_where_a_copy_would_not_help_the_repair_is_not_exact(kind: str) -> None:
    """A pool's copy still changes the domain; one that reads floats has no codes; of an unknown shape is no view."""
    b = GraphBuilder()
    x = b.quantized_input("x", (1, None if kind == "unknown shape" else 4, 8, 8), NARROW)
    if kind == "pool":
        value = b.call("aten.avg_pool2d.default", x, (2, 2), (2, 2))
    else:
        value = b.call("aten.add.Tensor", x, b.input("y") if kind == "float input" else x, shape=SHAPE)
    rewrite = repaired(SeveralOutputDomains, b.output(b.requantize(value, NARROW), b.requantize(value, WIDE)))
    assert rewrite is not None
    assert not rewrite.exact


def test_operands_are_swapped_only_where_that_makes_another_op() -> None:
    """Two dequantize ops of the same codes are one operand to the backend: swapping them would never end."""
    b = GraphBuilder()
    x = b.quantize(b.input("x"), NARROW)
    one, other = b.dequantize(x, NARROW), b.dequantize(x, NARROW)
    sums = [b.requantize(b.call("aten.add.Tensor", one, other), qparams) for qparams in (NARROW, WIDE)]
    rewrite = repaired(DuplicateConsumersMerged, b.output(*sums))
    assert rewrite is not None
    assert all(isinstance(edit, Insert) for edit in rewrite.edits)

    b = GraphBuilder()
    one, other = b.quantized_input("x", SHAPE, NARROW), b.quantized_input("y", SHAPE, NARROW)
    sums = [b.requantize(b.call("aten.add.Tensor", one, other), qparams) for qparams in (NARROW, WIDE)]
    assert repaired(DuplicateConsumersMerged, b.output(*sums)) == Rewrite((SwapOperands("add_1"),))


def test_a_narrow_value_alone_is_not_poisoned() -> None:
    """Eight codes are few, but nothing larger shares the scale: the observer wanted it so."""
    b = GraphBuilder()
    value = b.call("aten.sigmoid.default", b.quantized_input("x", SHAPE, NARROW))
    assert codes(b.output(b.requantize(value, int8(0.9)))) == []


def test_poison_is_found_through_a_pool() -> None:
    b = GraphBuilder()
    wide = int8(2.3)
    value = b.requantize(b.call("aten.sigmoid.default", b.quantized_input("x", SHAPE, NARROW)), wide)
    pooled = b.requantize(b.call("aten.max_pool2d.default", value, (2, 2), (2, 2), shape=(1, 4, 4, 4)), wide)
    both = b.call("aten.cat.default", (pooled, b.quantized_input("y", (1, 4, 4, 4), wide)), 1)
    (finding,) = check(RangePoisonedDomain, b.output(b.requantize(both, wide)))
    assert finding.nodes == ("sigmoid",)
    assert finding.effect is Effect.QUALITY


def test_quality_is_never_refused() -> None:
    assert RangePoisonedDomain.refused is False


# --- all --------------------------------------------------------------------------------------------------


@cache
def long_chain(length: int) -> Graph:
    """Every op both joins and is shared, and every domain changes: the worst there is for a walk per finding."""
    b = GraphBuilder()
    b.input("condition", SHAPE, "bool")
    value = b.quantized_input("x", SHAPE, NARROW)
    for number in range(length):
        flipped = b.call("aten.flip.default", value, (1,), shape=SHAPE)
        value = b.call("aten.where.self", "condition", flipped, value, shape=SHAPE)
        if number % 50 == 49:
            value = b.requantize(value, (WIDE, NARROW)[number // 50 % 2])
    return b.output(value)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_check_is_linear_in_the_program(rule: type[Rule]) -> None:
    times = []
    for length in (1000, 4000):
        view = View(long_chain(length))
        gc.collect()
        gc.disable()  # a collection walks all that the process holds, which in a worker with torch is a lot
        try:
            started = time.process_time()  # not the time that others take from this process
            list(rule().check(view, TARGET))
            times.append(time.process_time() - started)
        finally:
            gc.enable()
    assert times[1] < 16 * max(times[0], 0.005)  # 4 times the program; quadratic would be 16


@pytest.mark.parametrize(
    ("dtypes", "found"), [(("int8", "int16"), 0), (("int16", "int16"), 1)], ids=["different dtypes", "one dtype"]
)
def test_sums_of_different_dtypes_are_not_merged(dtypes: tuple[str, str], found: int) -> None:
    """FoldAndAnnotateQParamsPass makes the dtype of a sum's result one of its arguments."""
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 4, 6), int8(0.0237, -3))
    results = []
    for number, dtype in enumerate(dtypes):
        qparams = int8(0.05, -100) if dtype == "int8" else int16(0.0003 * (number + 1))
        results.append(b.requantize(b.call("aten.sum.dim_IntList", x, (1,), shape=(1, 6)), qparams))
    assert len(find(DuplicateConsumersMerged(), b.output(*results), "TOSA-1.0+INT+int16")) == found


def test_ops_of_which_one_stays_on_the_cpu_are_not_merged() -> None:
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 4, 6), int8(0.0237, -3))
    products = [b.call("aten.mul.Tensor", x, x) for _ in range(2)]
    graph = b.output(products[0], b.requantize(products[1], int8(0.05, -100)))
    (finding,) = find(DuplicateConsumersMerged(), graph, "TOSA-1.0+INT")
    assert (finding.case, finding.effect) == ("apart", Effect.EXACT)
    (finding,) = find(DuplicateConsumersMerged(), graph, "TOSA-1.0+INT+FP")
    assert (finding.case, finding.effect) == ("*", Effect.WRONG)
