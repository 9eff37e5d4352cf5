"""What the partitioner counts among the ops of which alone it makes no partition (TOSAPartitioner._tag_module)."""

from __future__ import annotations

import pytest

from fuseguard.backend.op_sets import WITHOUT_COMPUTE
from fuseguard.backend.partition import computes_nothing
from fuseguard.ir import View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.graph import Arg
from fuseguard.measured import RELEASES
from fuseguard.target import Target

#: An op on a tensor of (1, 4, 2, 2), its shape, and the operator in the partitioner's list.
NOTHING: tuple[tuple[str, tuple[Arg, ...], tuple[int, ...], str], ...] = (
    ("aten.view.default", ((1, 16),), (1, 16), "aten.view_copy.default"),
    ("aten.expand.default", ((1, 4, 2, 2),), (1, 4, 2, 2), "aten.expand_copy.default"),
    ("aten.squeeze.dims", ((1,),), (1, 4, 2, 2), "aten.squeeze_copy.dims"),
    ("aten.flip.default", ((),), (1, 4, 2, 2), "aten.flip.default"),
    ("aten.permute.default", ((0, 1, 2, 3),), (1, 4, 2, 2), "aten.permute_copy.default"),
)
#: The same ops with arguments that change something.
SOMETHING: tuple[tuple[str, tuple[Arg, ...], tuple[int, ...]], ...] = (
    ("aten.expand.default", ((3, 4, 2, 2),), (3, 4, 2, 2)),
    ("aten.squeeze.dims", ((0,),), (4, 2, 2)),
    ("aten.flip.default", ((1,),), (1, 4, 2, 2)),
    ("aten.permute.default", ((0, 1, 3, 2),), (1, 4, 2, 2)),
    ("aten.relu.default", (), (1, 4, 2, 2)),
)


def answer(operator: str, args: tuple[Arg, ...], shape: tuple[int, ...], release: str) -> bool:
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 4, 2, 2), int8(0.1))
    view = View(b.output(b.requantize(b.call(operator, x, *args, shape=shape), int8(0.1))))
    (node,) = view.ops
    return computes_nothing(view, node, Target.parse("TOSA-1.0+INT", release))


@pytest.mark.parametrize("release", RELEASES)
def test_an_op_that_changes_nothing_counts_since_its_release(release: str) -> None:
    listed = WITHOUT_COMPUTE.on(release)
    for operator, args, shape, edge in NOTHING:
        assert answer(operator, args, shape, release) == (edge in listed), (operator, release)


@pytest.mark.parametrize("release", RELEASES)
def test_an_op_that_changes_something_never_counts(release: str) -> None:
    for operator, args, shape in SOMETHING:
        assert not answer(operator, args, shape, release), (operator, release)
