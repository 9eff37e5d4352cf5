"""Programs in which a choice reads choices, a cumulative sum or a lookup table's codes, and what breaks of them.

What torch takes codes for is asked once before the second branch of a choice is cast to the first one's dtype, and
again after it. DT508 and DT509 have to know both.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8

SHAPE = (1, 8, 8)
QPARAMS = int8(0.05, 3)

Value: TypeAlias = "str | tuple[Value, ...]"

Y, C, S = "y", "cumsum", "sigmoid"  # an input, and what an op makes of one


def choice(first: Value, second: Value) -> Value:
    return "where", first, second


def times_y(first: Value) -> Value:
    return "bmm", first, Y


YC, YS = choice(Y, C), choice(Y, S)


class Case(NamedTuple):
    """A program, the rule that announces a crash of it, and the releases that it crashes on."""

    value: Value
    code: str = ""
    releases: str = "*"


CHOICES = (
    Case(choice(YC, Y), "DT509"),
    Case(choice(YC, S), "DT509"),
    Case(choice(YC, YS), "DT509"),
    Case(choice(choice(Y, YC), Y), "DT509"),
    Case(choice(("relu", YC), Y), "DT509"),
    Case(choice(("floor", YC), Y), "DT509"),
    Case(choice(C, YS), "DT509"),
    Case(choice(C, S), "DT509"),
    Case(choice(YS, Y), "DT508"),
    Case(choice(YS, C), "DT508"),
    Case(choice(YS, YC), "DT508"),
    Case(choice(choice(Y, YS), Y), "DT508"),
    Case(choice(("floor", S), Y), "DT508"),
    Case(choice(S, C), "DT508"),
    Case(choice(S, YC), "DT508"),
    Case(choice(("sigmoid", YC), Y), "DT508"),
    Case(choice(Y, YC)),
    Case(choice(Y, YS)),
    Case(choice(YC, C)),
    Case(choice(C, YC)),
    Case(choice(YC, YC)),
    Case(choice(S, YS)),
    Case(choice(YS, S)),
    Case(choice(YS, YS)),
    Case(choice(S, ("floor", S))),
    Case(choice(C, ("relu", YC))),
    Case(choice(("abs", YC), Y)),
)
READERS = (
    Case(("cumsum", YC)),
    Case(("cumsum", choice(YC, YC))),
    Case(("cumsum", choice(YC, C)), "DT509"),
    Case(("cumsum", choice(C, YC)), "DT509"),
    Case(("cumsum", choice(C, C)), "DT509"),
    Case(("cumsum", choice(S, YS)), "DT509"),
    Case(("cumsum", ("floor", S)), "DT509"),
    Case(times_y(YC), "DT509", "<1.4"),
    Case(times_y(YS), "DT508", "<1.4"),
    Case(times_y(choice(Y, ("abs", C))), "DT509", "<1.3"),
    Case(times_y(("abs", C)), "DT509", "<1.3"),
    Case(("bmm", YC, C), "DT509", "<1.3"),
    Case(("bmm", S, YS), "DT508", "<1.3"),
    Case(("bmm", YS, YC), "DT508", "<1.4"),
    Case(("bmm", ("abs", C), C), "DT509", "<1.4"),
)
CASES = CHOICES + READERS


def title(value: Value) -> str:
    return value if isinstance(value, str) else f"{value[0]}({', '.join(map(title, value[1:]))})"


def graph_of(expression: Value) -> Graph:
    """The program that yields a value, all of it in one int8 domain. Each input is one of its own."""
    b = GraphBuilder()
    mask = b.input("mask", SHAPE, "bool")
    inputs = 0

    def value(item: Value) -> str:
        nonlocal inputs
        if item == Y:
            inputs += 1
            return b.quantized_input(f"y{inputs}", SHAPE, QPARAMS)
        op, *operands = (item, Y) if isinstance(item, str) else item
        assert isinstance(op, str)
        read = [value(operand) for operand in operands]
        if op == "where":
            result = b.call("aten.where.self", mask, *read, shape=SHAPE)
        elif op == "cumsum":
            result = b.call("aten.cumsum.default", *read, 1, shape=SHAPE)
        else:
            result = b.call(f"aten.{op}.default", *read, shape=SHAPE)
        return b.requantize(result, QPARAMS)

    return b.output(value(expression))
