"""Which index the support checks of gather, index_select and index.Tensor take.

Protects: a gather that is taken for a delegated one, whose int64 index then leaves the delegate.
"""

from __future__ import annotations

import pytest

from fuseguard.backend.index_support import refuses_index
from fuseguard.backend.partition import stays_outside
from fuseguard.ir import View
from fuseguard.ir.builder import GraphBuilder
from fuseguard.target import Target


def refused(target: str, data: tuple[int, ...], index: tuple[int, ...], dtype: str, dim: int, release: str) -> bool:
    b = GraphBuilder()
    x, i = b.input("x", data), b.input("i", index, dtype)
    args = ((None,) * dim + (i,),) if target.endswith("Tensor") else (dim, i)
    node = b.call(target, x, *args, shape=index, annotated=False)
    view = View(b.output(node))
    return refuses_index(view, view.graph[node], Target.parse("TOSA-1.0+INT", release))


@pytest.mark.parametrize(
    ("data", "index", "dtype", "dim", "answer"),
    [
        ((2, 4), (2, 3), "int32", 1, False),
        ((2, 4, 6), (2, 3, 6), "int32", -2, False),
        ((2, 4), (2, 3), "int64", 1, True),
        ((2, 4), (2, 3), "int32", 0, True),
        ((2, 4, 6), (2, 3, 5), "int32", 1, True),
        ((2, 4), (1, 3), "int32", 1, True),
        ((1, 2, 4, 6), (1, 2, 4, 6), "int32", 1, True),
    ],
    ids=["2", "3", "int64", "first dimension", "other columns", "other rows", "rank 4"],
)
def test_gather(data: tuple[int, ...], index: tuple[int, ...], dtype: str, dim: int, answer: bool) -> None:
    assert refused("aten.gather.default", data, index, dtype, dim, "1.5.1") == answer


@pytest.mark.parametrize(("dtype", "index", "answer"), [("int32", (2,), False), ("int64", (2,), True)])
def test_index_select(dtype: str, index: tuple[int, ...], answer: bool) -> None:
    assert refused("aten.index_select.default", (4, 6), index, dtype, 1, "1.5.1") == answer


@pytest.mark.parametrize(
    ("dim", "index", "release", "answer"),
    [(0, (2,), "1.5.1", False), (1, (2,), "1.5.1", True), (0, (1, 1, 1, 2), "1.3.1", False),
     (0, (1, 1, 1, 2), "1.2.0", True)],
)  # fmt: skip
def test_index_tensor(dim: int, index: tuple[int, ...], release: str, answer: bool) -> None:
    assert refused("aten.index.Tensor", (4, 6), index, "int64", dim, release) == answer


def test_a_roll_has_an_index_of_int64_in_the_edge_dialect() -> None:
    b = GraphBuilder()
    node = b.call("aten.roll.default", b.input("x", (4, 6)), (1,), (1,), annotated=False)
    view = View(b.output(node))
    for spec in ("TOSA-1.0+INT", "TOSA-1.0+INT+FP"):
        assert stays_outside(view, view.graph[node], Target.parse(spec, "1.5.1"))
