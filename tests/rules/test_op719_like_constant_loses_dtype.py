"""OP719 where its examples do not reach, torch-free.

Protects: what takes any dtype, how far a wrong dtype goes, and which numbers a constant can hold.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard_rules.operator.op719_like_constant_loses_dtype import LikeConstantLosesDtype
from fuseguard_testkit.linting import find

SHAPE = (1, 4, 6, 6)
QPARAMS = int8(0.0237, -3)
Use = Callable[[GraphBuilder, str], str]


def program(use: Use, dtype: str = "int32", value: float | None = 3) -> Graph:
    """A constant in the shape of a dequantized value, given to ``use``."""
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, QPARAMS)
    args = () if value is None else (value,)
    made = b.call("aten.full_like.default", x, *args, dtype=dtype, kwargs={"dtype": dtype})
    return b.output(use(b, made), b.requantize(b.call("aten.neg.default", x), QPARAMS))


def as_it_is(b: GraphBuilder, made: str) -> str:
    del b
    return made


def compared(b: GraphBuilder, made: str) -> str:
    return b.call("aten.eq.Scalar", made, 3, dtype="bool")


def requantized(b: GraphBuilder, made: str) -> str:
    return b.requantize(made, QPARAMS)


def moved(b: GraphBuilder, made: str) -> str:
    for _ in range(40):
        made = b.call("aten.view.default", made, SHAPE, dtype="bool")
    return made


def negated_and_chosen(b: GraphBuilder, made: str) -> str:
    mask = b.call("aten.bitwise_not.default", made, dtype="bool")
    left, right = (b.quantized_input(name, SHAPE, QPARAMS) for name in ("left", "right"))
    return b.requantize(b.call("aten.where.self", mask, left, right), QPARAMS)


def chosen_from(b: GraphBuilder, made: str) -> str:
    """The constant is what is chosen, not the mask."""
    mask = b.input("mask", SHAPE, "bool")
    return b.call("aten.where.self", mask, made, made, dtype="int32")


@pytest.mark.parametrize(
    ("graph", "effects"),
    [
        (program(as_it_is), ["runtime_fault"]),
        (program(as_it_is, value=300), ["crash"]),
        (program(as_it_is, value=-129), ["crash"]),
        (program(chosen_from, value=300), ["crash"]),
        (program(as_it_is, "int8"), []),
        (program(as_it_is, "int64"), []),
        (program(moved, "bool", 1), ["runtime_fault"]),
        (program(negated_and_chosen, "bool", 1), ["crash"]),
        (program(chosen_from), ["runtime_fault"]),
        (program(compared), []),
        (program(compared, value=127), []),
        (program(compared, value=128), ["crash"]),
        (program(compared, value=-129), ["crash"]),
        (program(compared, value=None), []),
        (program(requantized, "float32", 2.5), []),
    ],
)
@pytest.mark.parametrize("spec", ["TOSA-1.0+INT", "TOSA-1.0+INT+FP"])
def test_what_a_wrong_dtype_breaks(graph: Graph, effects: list[str], spec: str) -> None:
    found = find(LikeConstantLosesDtype(), graph, spec, "1.5.1")
    assert [finding.effect.value for finding in found] == effects


def test_no_constant_is_made_where_the_number_is_not_known() -> None:
    [finding] = find(LikeConstantLosesDtype(), program(as_it_is, value=None), "TOSA-1.0+INT", "1.5.1")
    assert finding.rewrite is None


@pytest.mark.parametrize("annotated", [True, False])
@pytest.mark.parametrize("read", [True, False])
@pytest.mark.parametrize("spec", ["TOSA-1.0+INT", "TOSA-1.0+INT+FP"])
def test_a_number_that_the_codes_cannot_hold_has_an_effect_however_it_is_annotated(
    annotated: bool, read: bool, spec: str
) -> None:
    """A case without a row, or a constant that nothing reads, made the rule fail."""
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, QPARAMS)
    dtype = {"dtype": "int32"}
    made = b.call("aten.full_like.default", x, 300, dtype="int32", kwargs=dtype, annotated=annotated)
    value = b.requantize(b.call("aten.neg.default", x), QPARAMS)
    found = find(LikeConstantLosesDtype(), b.output(*([value, made] if read else [value])), spec, "1.5.1")
    assert len(found) == read
