"""OP717 where its examples do not reach, torch-free.

Protects: the places that index tensors name, apart and together, and the values that a repair expands to them.
"""

from __future__ import annotations

import pytest

from fuseguard.engine import Call, Insert
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard_rules.operator.op717_put_values_not_expanded import PutValuesNotExpanded
from fuseguard_testkit.linting import find

Shape = tuple[int, ...]


def put(data: Shape, indices: tuple[Shape | None, ...], values: Shape, dtype: str = "int64", *further: bool) -> Graph:
    """``indices`` are the shapes of index tensors, None for a dimension that is taken whole."""
    b = GraphBuilder()
    x, v = b.quantized_input("x", data, int8(0.05, 3)), b.quantized_input("v", values, int8(0.05, 3))
    tensors = tuple(None if shape is None else b.constant(f"i{n}", shape, dtype) for n, shape in enumerate(indices))
    return b.output(b.requantize(b.call("aten.index_put.default", x, tensors, v, *further, shape=data), int8(0.05, 3)))


@pytest.mark.parametrize(
    ("graph", "cases"),
    [
        (put((8, 6), ((3,),), (3, 6)), []),
        (put((8, 6), ((3,),), (6,)), ["view"]),
        (put((8, 6), ((3,), (3,)), (3,)), []),
        (put((8, 6), ((3, 1), (2,)), (3, 2)), []),
        (put((8, 6), ((3, 1), (2,)), (2,)), ["view"]),
        (put((1, 8, 6), (None, (3,)), (1, 3, 6)), []),  # a whole dimension of one
        (put((3, 8, 6), (None, (3,)), (3, 6)), ["fewer"]),
        (put((8, 6), ((8, 6),), (1,), "bool"), []),  # a mask is another op
        (put((8, 6), ((3,),), (6,), "int64", True), []),  # accumulated: on the CPU
    ],
)
def test_what_it_finds_before_1_3(graph: Graph, cases: list[str]) -> None:
    assert [item.case for item in find(PutValuesNotExpanded(), graph, release="1.2.0")] == cases
    assert find(PutValuesNotExpanded(), graph, release="1.3.1") == ()


@pytest.mark.parametrize(
    ("graph", "places"),
    [
        (put((8, 6), ((3,),), (6,)), (3, 6)),
        (put((8, 6), ((3, 1), (2,)), (2,)), (3, 2)),
        (put((8, 1, 6), ((3,), None, (3,)), (1,)), (3, 1)),  # apart: the indexed places come first
        (put((1, 8, 6), (None, (3,)), (1,)), (1, 3, 6)),
    ],
)
def test_a_repair_expands_the_values_to_the_places(graph: Graph, places: Shape) -> None:
    (finding,) = find(PutValuesNotExpanded(), graph, release="1.2.0")
    assert finding.rewrite is not None
    (edit,) = finding.rewrite.edits
    assert isinstance(edit, Insert)
    call = edit.steps[0]
    assert isinstance(call, Call)
    assert call.args == (places,)


def test_whole_dimensions_that_are_crossed_are_not_repaired() -> None:
    (finding,) = find(PutValuesNotExpanded(), put((2, 8, 6), (None, (3,)), (2, 3, 6)), release="1.2.0")
    assert finding.rewrite is None
