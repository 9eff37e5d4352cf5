"""OP716 where its examples do not reach, torch-free.

Protects: which of several readers decides the case, and that results without a reader are no finding.
"""

from __future__ import annotations

import pytest

from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard_rules.operator.op716_norm_side_results_lost import NormSideResultsLost
from fuseguard_testkit.linting import find

SHAPE, ROWS = (1, 4, 6, 8), (1, 4, 6, 1)


def norm(*readers: str, quantized: bool = False) -> Graph:
    """A layer norm whose mean is read by each of ``readers``: "output", "view" or "add"."""
    b = GraphBuilder()
    whole = b.call("aten.native_layer_norm.default", b.input("x", SHAPE), (8,), None, None, 1e-5, annotated=False)
    first, mean = (
        b.call("operator.getitem", whole, place, shape=shape, annotated=False)
        for place, shape in ((0, SHAPE), (1, ROWS))
    )
    if quantized:
        mean = b.requantize(mean, int8(0.05))
    made = [first]
    for reader in readers:
        if reader == "view":
            made.append(b.call("aten.view.default", mean, (24,), shape=(24,), annotated=False))
        elif reader == "add":
            made.append(b.call("aten.add.Tensor", first, mean, shape=SHAPE, annotated=False))
        else:
            made.append(mean)
    return b.output(*made)


@pytest.mark.parametrize(
    ("graph", "cases"),
    [
        (norm(), []),
        (norm("add"), ["value"]),
        (norm("output"), ["output"]),
        (norm("add", "output"), ["output"]),
        (norm("add", "output", "view"), ["view"]),
        (norm("view", quantized=True), ["view"]),
    ],
)
def test_the_reader_that_fails_first_decides(graph: Graph, cases: list[str]) -> None:
    assert [item.case for item in find(NormSideResultsLost(), graph)] == cases
