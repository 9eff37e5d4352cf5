"""PL405 where its examples do not reach, torch-free.

Protects: integer ops that work are not reported.
"""

from __future__ import annotations

import pytest

from fuseguard.ir import Arg, Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard_rules.placement.pl405_raw_integers_taken_for_quantized import RawInteger
from fuseguard_testkit.linting import find

SHAPE = (1, 4, 8, 8)
QPARAMS = int8(0.05)


def raw(target: str, *dtypes: str, rest: tuple[Arg, ...] = (), result: str = "int8") -> Graph:
    b = GraphBuilder()
    inputs = [b.input(f"x{number}", SHAPE, dtype) for number, dtype in enumerate(dtypes)]
    return b.output(b.call(target, *inputs, *rest, dtype=result, annotated=False))


@pytest.mark.parametrize(
    ("graph", "found"),
    [
        (raw("aten.add.Tensor", "int8", "int8"), True),
        (raw("aten.add.Tensor", "int8", rest=(3,)), True),
        (raw("aten.add.Tensor", "int16", "int16", result="int16"), True),
        (raw("aten.add.Tensor", "int32", "int32", result="int32"), False),
        (raw("aten.add.Tensor", "int8", "int32", result="int32"), False),
        (raw("aten.mul.Tensor", "int8", rest=(0.5,), result="float32"), False),
        (raw("aten.eq.Tensor", "int8", "int8", result="bool"), True),
        (raw("aten.eq.Tensor", "int32", "int32", result="bool"), False),
        (raw("aten.ne.Tensor", "int8", "int8", result="bool"), False),
        (raw("aten.eq.Tensor", "float32", "float32", result="bool"), False),
        (raw("aten.neg.default", "int8"), True),
        (raw("aten.neg.default", "int16", result="int16"), False),
        (raw("aten.sigmoid.default", "int8", result="float32"), True),
        (raw("aten.sigmoid.default", "float32", result="float32"), False),
        (raw("aten.clamp.default", "int8", rest=(-5, 5)), False),
        (raw("aten.max_pool2d.default", "int8", rest=((2, 2), (2, 2))), False),
    ],
)
def test_only_what_lowering_has_no_integer_form_for_is_reported(graph: Graph, found: bool) -> None:
    assert bool(find(RawInteger(), graph)) == found


def test_quantized_values_are_no_raw_integers() -> None:
    """A DQ reads int8 as well, also from an input that is int8 already."""
    b = GraphBuilder()
    value = b.call("aten.neg.default", b.dequantize(b.input("x", SHAPE, "int8"), QPARAMS))
    assert not find(RawInteger(), b.output(b.requantize(value, QPARAMS)))
