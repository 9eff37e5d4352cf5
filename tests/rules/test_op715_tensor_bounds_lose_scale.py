"""OP715 where its examples do not reach, torch-free.

Protects: a clamp is reported whose two ops are at one scale, or of which one tensor is a float.
"""

from __future__ import annotations

import pytest

from fuseguard.engine import Pair, Replace
from fuseguard.ir import Graph, QParams
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.ops import lookup
from fuseguard_rules.operator.op715_tensor_bounds_lose_scale import TensorBoundsLoseScale
from fuseguard_testkit.linting import find

SHAPE = (1, 4, 6, 6)
ONE, NEAR, OTHER = int8(0.05, 3), int8(0.05 * (1 + 1e-4)), int8(0.02)


def clamp(data: QParams, lower: QParams | None, upper: QParams | None, result: QParams = ONE) -> Graph:
    """A bound without qparams is a float tensor."""
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, data)
    low = b.quantized_input("low", SHAPE, lower) if lower is not None else b.input("low", SHAPE)
    high = b.quantized_input("high", SHAPE, upper) if upper is not None else b.input("high", SHAPE)
    return b.output(b.requantize(b.call("aten.clamp.Tensor", x, low, high, shape=SHAPE), result))


@pytest.mark.parametrize(
    ("graph", "release", "cases"),
    [
        (clamp(ONE, ONE, OTHER), "1.4.1", ["scale"]),
        (clamp(ONE, ONE, ONE), "1.4.1", []),
        (clamp(ONE, ONE, ONE), "1.5.1", ["half"]),
        (clamp(ONE, OTHER, OTHER), "1.4.1", []),  # the smaller scale is the upper bound's
        (clamp(ONE, ONE, NEAR), "1.4.1", []),  # less than half a step over the whole range
        (clamp(ONE, None, OTHER), "1.5.1", []),
        (clamp(ONE, ONE, None), "1.5.1", []),
    ],
)
def test_what_it_finds(graph: Graph, release: str, cases: list[str]) -> None:
    assert [item.case for item in find(TensorBoundsLoseScale(), graph, release=release)] == cases


@pytest.mark.parametrize(("data", "between"), [(ONE, ONE), (OTHER, int8(0.03))])
def test_the_pair_between_has_the_qparams_of_both_operands_or_of_the_result(data: QParams, between: QParams) -> None:
    (finding,) = find(TensorBoundsLoseScale(), clamp(data, ONE, OTHER, int8(0.03)), release="1.5.1")
    assert finding.rewrite is not None
    (edit,) = finding.rewrite.edits
    assert isinstance(edit, Replace)
    assert [step.qparams for step in edit.steps if isinstance(step, Pair)] == [between]


@pytest.mark.parametrize("target", ["aten.clamp.default", "aten.clamp_min.default", "aten.hardtanh.default"])
def test_a_clamp_between_numbers_is_another_kind(target: str) -> None:
    assert lookup(target).kind != "clamp_tensor"


@pytest.mark.parametrize("target", ["aten.clamp.Tensor", "aten.clamp_min.Tensor", "aten.clamp_max_.Tensor"])
def test_a_bound_that_is_a_tensor_makes_it_one(target: str) -> None:
    assert lookup(target).kind == "clamp_tensor"
