"""OP718 where its examples do not reach, torch-free.

Protects: what keeps its dynamic size as it is, targets that compute sizes, and releases that take no dynamic size.
"""

from __future__ import annotations

import pytest

from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard_rules.operator.op718_dynamic_size_needs_shape_ops import DynamicSizeNeedsShapeOps
from fuseguard_testkit.linting import find

Sizes = tuple[int | None, ...]


def call(target: str, *args: object, data: Sizes = (None, 4, 6), result: Sizes = (None, 4, 6)) -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", data, int8(0.05))
    return b.output(b.requantize(b.call(target, x, *args, shape=result), int8(0.05)))  # type: ignore[arg-type]


def conv(groups: int, rank: int = 2) -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", (None, 4, *[6] * rank), int8(0.05))
    weight = b.quantized_constant("weight", (4, 4 // groups, *[1] * rank))
    options = ((1,) * rank, (0,) * rank, (1,) * rank, groups)
    value = b.call(f"aten.conv{rank}d.default", x, weight, None, *options, shape=(None, 4, *[6] * rank))
    return b.output(b.requantize(value, int8(0.05)))


def put(sizes: Sizes) -> Graph:
    b = GraphBuilder()
    x, value = b.quantized_input("x", sizes, int8(0.05)), b.quantized_input("value", (1,), int8(0.05))
    written = b.call("aten.index_put.default", x, (b.constant("rows", (1,), "int64", (0,)),), value, shape=sizes)
    return b.output(b.requantize(written, int8(0.05)))


def halves(sizes: Sizes) -> Graph:
    b = GraphBuilder()
    half = (sizes[0], 2, *sizes[2:])
    parts = b.call("aten.split.Tensor", b.quantized_input("x", sizes, int8(0.05)), 2, 1, shape=half)
    part = b.call("operator.getitem", parts, 0, shape=half)
    return b.output(b.requantize(part, int8(0.05)))


def beside_constant(sizes: Sizes) -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", sizes, int8(0.05))
    made = b.requantize(b.call("aten.full_like.default", x, 0.3, shape=sizes, annotated=False), int8(0.05))
    return b.output(b.requantize(b.call("aten.add.Tensor", x, made, shape=sizes), int8(0.05)))


DROPPED = call("aten.amax.default", (1,), result=(None, 6))


@pytest.mark.parametrize(
    ("graph", "found"),
    [
        (call("aten.relu.default"), 0),
        (call("aten.cumsum.default", 1), 1),
        (call("aten.select.int", 1, 0, result=(None, 6)), 1),
        (DROPPED, 1),
        (call("aten.amax.default", (1,), True, result=(None, 1, 6)), 0),
        (call("aten.amax.default", (1,), data=(2, 4, 6), result=(2, 6)), 0),
        (call("aten.view.default", (-1, 24), result=(None, 24)), 0),  # of a view alone no partition is made
        (put((None, 8)), 1),
        (put((2, 8)), 0),
        (halves((2, 4, 6, None)), 1),
        (halves((None, 4, 6, 6)), 0),
        (beside_constant((2, None)), 1),
        (beside_constant((2, 8)), 0),
        (conv(1), 0),
        (conv(2), 1),
        (conv(4), 0),  # depthwise
        (conv(1, rank=1), 1),
    ],
)
def test_what_it_finds(graph: Graph, found: int) -> None:
    assert len(find(DynamicSizeNeedsShapeOps(), graph, release="1.5.1")) == found


def split_beside_linear(*, joined: bool) -> Graph:
    """A split of x, and a linear of x + y or of y alone; both have a dynamic batch."""
    b = GraphBuilder()
    x, y = b.quantized_input("x", (None, 4, 6), int8(0.05)), b.quantized_input("y", (None, 4, 6), int8(0.05))
    split = b.call("aten.split.Tensor", x, 2, 1, shape=(None, 2, 6))
    parts = [b.call("operator.getitem", split, number, shape=(None, 2, 6)) for number in (0, 1)]
    data = b.requantize(b.call("aten.add.Tensor", x, y), int8(0.05)) if joined else y
    value = b.call("aten.linear.default", data, b.quantized_constant("weight", (3, 6)), shape=(None, 4, 3))
    return b.output(b.requantize(value, int8(0.05)), *(b.requantize(part, int8(0.05)) for part in parts))


def test_a_split_fixes_the_batch_of_all_that_shares_it() -> None:
    """``to_edge`` makes of such a batch what the example inputs have."""
    assert find(DynamicSizeNeedsShapeOps(), split_beside_linear(joined=True), release="1.5.1") == ()
    (finding,) = find(DynamicSizeNeedsShapeOps(), split_beside_linear(joined=False), release="1.5.1")
    assert finding.nodes == ("linear",)


@pytest.mark.parametrize(
    ("spec", "release"),
    [("TOSA-1.1+INT+FP+shape", "1.5.1"), ("TOSA-1.0+INT", "1.5.0"), ("TOSA-1.0+INT", "1.2.0")],
)
def test_where_sizes_are_computed_or_not_taken_at_all_it_is_silent(spec: str, release: str) -> None:
    assert find(DynamicSizeNeedsShapeOps(), DROPPED, spec, release) == ()
