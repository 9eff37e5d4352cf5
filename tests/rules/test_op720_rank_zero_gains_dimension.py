"""OP720 where its examples do not reach, torch-free.

Protects: which readers go by the additional dimension, and that refusing an op refuses the quantize op after it.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fuseguard.engine import Call, Insert, run
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target
from fuseguard_rules.operator.op712_view_to_rank_zero import ViewToRankZero
from fuseguard_rules.operator.op720_rank_zero_gains_dimension import RankZeroGainsDimension
from fuseguard_testkit.graph_rewriting import repair_graph
from fuseguard_testkit.linting import find

QPARAMS = int8(0.05)
TARGET = Target.parse("TOSA-1.0+INT+FP", "1.5.1")
Use = Callable[[GraphBuilder, str], str]


def graph_of(*uses: Use) -> Graph:
    """A number that is an input, quantized, and a chain of uses, each with a Q and DQ."""
    b = GraphBuilder()
    value = b.quantized_input("s", (), QPARAMS)
    for use in uses:
        value = b.requantize(use(b, value), QPARAMS)
    return b.output(value)


def row(b: GraphBuilder) -> str:
    return b.quantized_input("row", (4,), QPARAMS)


def unsqueezed(b: GraphBuilder, value: str) -> str:
    return b.call("aten.unsqueeze.default", value, 0, shape=(1,))


def viewed(b: GraphBuilder, value: str) -> str:
    return b.call("aten.view.default", value, (1,), shape=(1,))


def joined(b: GraphBuilder, value: str) -> str:
    return b.call("aten.cat.default", (value, row(b)), shape=(5,))


def joined_twice(b: GraphBuilder, value: str) -> str:
    return b.call("aten.cat.default", (value, value), shape=(2,))


def multiplied(b: GraphBuilder, value: str) -> str:
    return b.call("aten.mul.Tensor", row(b), value, shape=(4,))


def with_a_matrix(b: GraphBuilder, value: str) -> str:
    return b.call("aten.mul.Tensor", b.quantized_input("matrix", (3, 4), QPARAMS), value, shape=(3, 4))


def transposed(b: GraphBuilder, value: str) -> str:
    return b.call("aten.permute.default", value, (1, 0), shape=(4, 3))


def sigmoid(b: GraphBuilder, value: str) -> str:
    return b.call("aten.sigmoid.default", value)


def spread(b: GraphBuilder, value: str) -> str:
    return b.call("aten.expand.default", value, (3,), shape=(3,))


def spread_to_matrix(b: GraphBuilder, value: str) -> str:
    return b.call("aten.expand.default", value, (3, 4), shape=(3, 4))


@pytest.mark.parametrize(
    ("uses", "found"),
    [
        ((sigmoid,), False),
        ((multiplied,), False),  # a dimension of 1 is one of 4 then
        ((unsqueezed,), False),
        ((unsqueezed, joined), True),
        ((viewed, joined), False),  # the view states the shape
        ((unsqueezed, joined_twice), False),  # both have the dimension
        ((sigmoid, unsqueezed, joined), True),
        ((spread,), False),
        ((unsqueezed, spread), True),
        ((unsqueezed, spread_to_matrix), False),
        ((unsqueezed, multiplied), False),
        ((unsqueezed, multiplied, joined), True),
        ((unsqueezed, with_a_matrix, transposed), False),  # the matrix has as many dimensions
    ],
)
def test_only_ops_that_go_by_the_dimensions_fail(uses: tuple[Use, ...], found: bool) -> None:
    assert bool(find(RankZeroGainsDimension(), graph_of(*uses), release="1.5.1")) == found


@pytest.mark.parametrize(("release", "found"), [("1.5.1", False), ("1.4.1", False), ("1.3.1", True), ("1.2.0", True)])
def test_a_view_that_moves_past_the_product_states_its_shape(release: str, found: bool) -> None:
    def times_a_view(b: GraphBuilder, value: str) -> str:
        matrix = b.quantized_input("matrix", (3, 4), QPARAMS)
        flat = b.requantize(b.call("aten.view.default", matrix, (12,), shape=(12,)), QPARAMS)
        return b.call("aten.mul.Tensor", flat, value, shape=(12,))

    def cut(b: GraphBuilder, value: str) -> str:
        return b.call("aten.slice.Tensor", value, 0, 3, 7, shape=(4,))

    assert bool(find(RankZeroGainsDimension(), graph_of(unsqueezed, times_a_view, cut), release=release)) == found


def test_the_repair_states_the_shape_before_the_op_that_fails() -> None:
    graph = graph_of(unsqueezed, joined)
    (finding,) = find(RankZeroGainsDimension(), graph, release="1.5.1")
    assert finding.rewrite is not None
    (edit,) = finding.rewrite.edits
    assert isinstance(edit, Insert)
    assert edit.users == ("cat",)
    assert edit.steps[0] == Call("aten.view.default", ((1,),))
    _, _, report = repair_graph(graph, TARGET, (RankZeroGainsDimension(),))
    assert report.findings == ()


def test_two_numbers_that_are_joined_with_a_tensor_are_both_refused() -> None:
    b = GraphBuilder()
    numbers = [b.quantized_input(name, (), QPARAMS) for name in ("s", "t")]
    rows = [b.requantize(unsqueezed(b, number), QPARAMS) for number in numbers]
    graph = b.output(b.requantize(b.call("aten.cat.default", (*rows, row(b)), shape=(6,)), QPARAMS))
    found = find(RankZeroGainsDimension(), graph)
    assert [finding.nodes for finding in found] == [("quantize_per_tensor",), ("quantize_per_tensor_1",)]
    _, _, report = repair_graph(graph, TARGET, (RankZeroGainsDimension(),))
    assert report.findings == ()


def test_what_is_joined_with_a_refused_number_is_refused_with_it() -> None:
    """Both have the dimension, which does not matter until the other op has the first one refused."""
    b = GraphBuilder()
    rows = [b.requantize(unsqueezed(b, b.quantized_input(name, (), QPARAMS)), QPARAMS) for name in ("s", "t")]
    both = b.requantize(b.call("aten.cat.default", tuple(rows), shape=(2,)), QPARAMS)
    longer = b.requantize(joined(b, rows[0]), QPARAMS)
    report = run(b.output(both, longer), TARGET, [RankZeroGainsDimension()])
    (finding,) = report.findings
    assert finding.cluster == ("quantize_per_tensor", "quantize_per_tensor_2")


def test_a_refused_op_takes_along_the_quantize_op_after_it() -> None:
    """The sum stays on the CPU (OP712), so that the delegate would quantize a float without dimensions."""
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 4, 6, 6), QPARAMS)
    total = b.requantize(b.call("aten.sum.dim_IntList", x, (0, 1, 2, 3), False, shape=()), QPARAMS)
    first = b.requantize(unsqueezed(b, total), QPARAMS)
    graph = b.output(b.requantize(joined(b, first), QPARAMS))
    report = run(graph, TARGET, [ViewToRankZero(), RankZeroGainsDimension()])
    assert [finding.code for finding in report.findings] == ["OP712"]
    assert report.findings[0].cluster == ("dequantize_per_tensor", "sum", "quantize_per_tensor_1")
    for target in (Target.parse("TOSA-1.0+INT", "1.5.1"),):
        (finding,) = run(graph, target, [ViewToRankZero(), RankZeroGainsDimension()]).findings
        assert finding.cluster == ("dequantize_per_tensor", "sum")


@pytest.mark.parametrize(("readers", "found"), [(1, False), (2, True)])
def test_a_view_that_is_made_twice_and_read_elsewhere_stays_where_it_is(readers: int, found: bool) -> None:
    """The number is viewed to one dimension, and multiplied by a flattened value. Equal views are merged first."""
    b = GraphBuilder()
    q = b.quantize(b.input("x", (3, 4)), QPARAMS)
    flat = [
        b.requantize(b.call("aten.view.default", b.dequantize(q, QPARAMS), (12,), shape=(12,)), QPARAMS)
        for _ in range(readers)
    ]
    number = b.requantize(unsqueezed(b, b.quantized_input("s", (), QPARAMS)), QPARAMS)
    product = b.requantize(b.call("aten.mul.Tensor", flat[0], number, shape=(12,)), QPARAMS)
    graph = b.output(b.requantize(b.call("aten.cat.default", (product, flat[-1] if readers > 1 else row(b))), QPARAMS))
    assert bool(find(RankZeroGainsDimension(), graph, "TOSA-1.0+INT+FP", "1.5.1")) == found
