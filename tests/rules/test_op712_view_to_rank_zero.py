"""OP712 where its examples do not reach, torch-free.

Protects: only views to rank 0 that no pass merges with another one are reported, and none where ExecuTorch does not
check the edge IR.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from fuseguard.engine import Effect, EffectRow, run
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target
from fuseguard_rules.operator.op712_view_to_rank_zero import ViewToRankZero
from fuseguard_testkit.graph_rewriting import repair_graph
from fuseguard_testkit.linting import find

SHAPE = (1, 4, 6, 6)
DIMS = (0, 1, 2, 3)
QPARAMS, WIDE = int8(0.05), int8(0.7, 3)

After = Callable[[GraphBuilder, str], str]


def reduced(kind: str, after: After, *, pair: bool = True) -> Graph:
    """A reduction to rank 0, with ``after`` reading it; ``pair``: through a Q and DQ."""
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, QPARAMS)
    target = {"sum": "aten.sum.dim_IntList", "amax": "aten.amax.default"}[kind]
    value = b.call(target, x, DIMS, False, shape=())
    return b.output(after(b, b.requantize(value, WIDE) if pair else value))


def as_it_is(b: GraphBuilder, value: str) -> str:
    del b
    return value


def with_a_dimension(b: GraphBuilder, value: str) -> str:
    return b.requantize(b.call("aten.unsqueeze.default", value, 0, shape=(1,)), WIDE)


def with_relu(b: GraphBuilder, value: str) -> str:
    return b.requantize(b.call("aten.relu.default", value, shape=()), WIDE)


def added(b: GraphBuilder, value: str) -> str:
    x = b.quantized_input("y", SHAPE, QPARAMS)
    return b.requantize(b.call("aten.add.Tensor", x, value, shape=SHAPE), WIDE)


@pytest.mark.parametrize(
    ("kind", "after", "found_in_14", "found_in_15"),
    [
        ("sum", as_it_is, True, True),
        ("sum", with_relu, True, True),
        ("sum", with_a_dimension, False, True),  # a RESCALE from int32 between the views
        ("sum", added, False, True),
        ("amax", with_a_dimension, False, False),
        ("amax", added, False, True),
    ],
)
def test_views_that_merge_are_passed(kind: str, after: After, found_in_14: bool, found_in_15: bool) -> None:
    graph = reduced(kind, after)
    for release, found in (("1.3.1", False), ("1.4.1", found_in_14), ("1.5.1", found_in_15)):
        assert bool(find(ViewToRankZero(), graph, release=release)) == found, release


def test_what_has_no_dimensions_from_the_start_is_passed() -> None:
    b = GraphBuilder()
    x = b.quantized_input("x", (), QPARAMS)
    graph = b.output(b.requantize(b.call("aten.sum.dim_IntList", x, (), False, shape=()), WIDE))
    assert not find(ViewToRankZero(), graph, release="1.5.1")


def test_what_stays_on_the_cpu_is_passed_in_int() -> None:
    b = GraphBuilder()
    graph = b.output(b.call("aten.sum.dim_IntList", b.input("x", SHAPE), DIMS, False, shape=(), annotated=False))
    rule = ViewToRankZero()
    assert not run(graph, Target.parse("TOSA-1.0+INT", "1.5.1"), (rule,)).findings
    assert run(graph, Target.parse("TOSA-1.0+INT+FP", "1.5.1"), (rule,)).findings


def test_without_the_check_of_the_edge_ir_nothing_is_wrong() -> None:
    target = replace(Target.parse("TOSA-1.0+INT", "1.5.1"), ir_validity=False)
    assert not run(reduced("sum", as_it_is), target, (ViewToRankZero(),)).findings


def test_a_finding_says_that_it_depends_on_the_check() -> None:
    (finding,) = find(ViewToRankZero(), reduced("sum", as_it_is), release="1.5.1")
    condition = "only with ExecuTorch's default _check_ir_validity=True; exact with False"
    assert finding.details == (("IR check", condition),)


def test_an_effect_without_the_check() -> None:
    row = EffectRow("*", "*", "*", Effect.CRASH, reference="a pass", unchecked=Effect.WRONG)
    target = Target.parse("TOSA-1.0+INT", "1.5.1")
    assert row.effect_on(target) is Effect.CRASH
    assert row.effect_on(replace(target, ir_validity=False)) is Effect.WRONG
    same = replace(row, unchecked=None)
    assert same.effect_on(replace(target, ir_validity=False)) is Effect.CRASH
    assert same.condition == ""


def test_after_the_repair_one_element_is_left_to_reduce() -> None:
    rule = ViewToRankZero()
    graph, applied, report = repair_graph(reduced("sum", as_it_is), Target.parse("TOSA-1.0+INT", "1.5.1"), (rule,))
    assert len(applied) == 1
    (left,) = report.findings
    assert left.refuse
    assert left.rewrite is None
    sums = [node for node in graph if node.kind == "sum"]
    assert [node.meta.shape for node in sums if node.meta] == [(1, 1, 1, 1), ()]
    assert left.nodes == (sums[1].name,)


def one_number(b: GraphBuilder, kind: str) -> str:
    """A value without dimensions, by a reshape or a sum of what has some."""
    shape = (1, 1, 1, 1) if kind == "view" else SHAPE
    x = b.quantized_input("x", shape, QPARAMS)
    args = ("aten.view.default", x, ()) if kind == "view" else ("aten.sum.dim_IntList", x, DIMS, False)
    return b.requantize(b.call(*args, shape=()), QPARAMS)


def stacked(b: GraphBuilder, *values: str) -> Graph:
    """The stack begins with a view of each value."""
    return b.output(b.requantize(b.call("aten.stack.default", values, shape=(len(values),)), WIDE))


def times(b: GraphBuilder, value: str, other: str) -> str:
    return b.requantize(b.call("aten.mul.Tensor", value, other, shape=()), WIDE)


def of_product(kind: str, end: str) -> Graph:
    """A number times an input without dimensions; ``end`` says what becomes of it."""
    b = GraphBuilder()
    value = one_number(b, kind)
    product = times(b, b.quantized_input("n", (), QPARAMS), value)
    if end == "output":
        return b.output(product)
    if end == "two readers":
        return stacked(b, product, value)
    if end == "product again":
        product = times(b, product, b.quantized_input("m", (), QPARAMS))
    if end == "sum of a square":
        product = times(b, product, product)
    if end == "in four dimensions":
        four = b.quantized_input("y", SHAPE, QPARAMS)
        return b.output(b.requantize(b.call("aten.mul.Tensor", four, product, shape=SHAPE), WIDE))
    return stacked(b, product)


@pytest.mark.parametrize(
    ("kind", "end", "found"),
    [
        ("view", "stack", False),
        ("view", "product again", False),
        ("sum", "stack", True),  # its view is made after the views have moved
        ("view", "output", True),
        ("view", "two readers", True),
        ("view", "sum of a square", True),
        ("view", "in four dimensions", True),
    ],
)
def test_a_view_moves_past_arithmetic_with_numbers_and_merges(kind: str, end: str, found: bool) -> None:
    for spec in ("TOSA-1.0+INT", "TOSA-1.0+INT+FP"):
        assert bool(find(ViewToRankZero(), of_product(kind, end), spec, "1.5.1")) == found
