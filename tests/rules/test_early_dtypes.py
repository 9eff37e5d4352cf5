"""DT508 and DT509 where a choice's branches are choices themselves, torch-free.

The verdicts are those of 569 lowerings on ExecuTorch 1.5.1 and 1.2.0 each (docs/truth.md): what torch takes codes for
is asked once before the second branch is cast to the first one's dtype, and again after it.
"""

from __future__ import annotations

from typing import TypeAlias

import pytest

from fuseguard.engine import run
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target
from fuseguard_rules.dtype.cumulative_sum_dtype import CumulativeSumDtype
from fuseguard_rules.dtype.table_codes_as_floats import TableCodesAsFloats

SHAPE = (1, 1, 8, 8)
QPARAMS = int8(0.05, 3)

Value: TypeAlias = "str | tuple[str, Value] | tuple[str, Value, Value]"

Y, C, S = "y", "cumsum", "sigmoid"  # an input, and an op that reads one


def choice(first: Value, second: Value) -> Value:
    return "where", first, second


YC, YS = choice(Y, C), choice(Y, S)


def graph_of(expression: Value) -> Graph:
    b = GraphBuilder()
    mask = b.input("mask", SHAPE, "bool")
    inputs = 0

    def value(item: Value) -> str:
        nonlocal inputs
        if item == Y:
            inputs += 1
            return b.quantized_input(f"y{inputs}", SHAPE, QPARAMS)
        op, *operands = (item, Y) if isinstance(item, str) else item
        read = [value(operand) for operand in operands]
        if op == "where":
            return b.requantize(b.call("aten.where.self", mask, *read, shape=SHAPE), QPARAMS)
        args: tuple[object, ...] = {"cumsum": (2,), "avg_pool2d": ((3, 3), (1, 1), (1, 1), False, False)}.get(op, ())
        return b.requantize(b.call(f"aten.{op}.default", *read, *args, shape=SHAPE), QPARAMS)  # type: ignore[arg-type]

    return b.output(value(expression))


def announced(expression: Value, release: str = "1.5.1", profile: str = "TOSA-1.0+INT") -> list[str]:
    """The codes of what is announced, with the name of the op."""
    report = run(graph_of(expression), Target.parse(profile, release), [TableCodesAsFloats(), CumulativeSumDtype()])
    assert not report.failures
    return sorted(f"{item.code} {item.nodes[0]}" for item in report.findings if item.effect.value == "crash")


@pytest.mark.parametrize("release", ["1.5.1", "1.2.0"])
@pytest.mark.parametrize(
    ("first", "second", "breaks"),
    [
        (YC, Y, "DT509"),
        (YC, S, "DT509"),
        (YC, YS, "DT509"),
        (choice(Y, YC), Y, "DT509"),
        (("relu", YC), Y, "DT509"),
        (("floor", YC), Y, "DT509"),
        (C, YS, "DT509"),
        (C, S, "DT509"),
        (YS, Y, "DT508"),
        (YS, C, "DT508"),
        (YS, YC, "DT508"),
        (choice(Y, YS), Y, "DT508"),
        (("floor", S), Y, "DT508"),
        (S, C, "DT508"),
        (S, YC, "DT508"),
        (("sigmoid", YC), Y, "DT508"),
        (Y, YC, ""),
        (Y, YS, ""),
        (YC, C, ""),
        (C, YC, ""),
        (YC, YC, ""),
        (S, YS, ""),
        (YS, S, ""),
        (YS, YS, ""),
        (S, ("floor", S), ""),
        (C, ("relu", YC), ""),
        (("abs", YC), Y, ""),
    ],
)
def test_a_choice_breaks_where_its_branches_are_taken_for_two_dtypes_and_the_first_one_not_for_codes(
    first: Value, second: Value, breaks: str, release: str
) -> None:
    found = announced(choice(first, second), release)
    assert [item.split()[0] for item in found] == ([breaks] if breaks else [])
