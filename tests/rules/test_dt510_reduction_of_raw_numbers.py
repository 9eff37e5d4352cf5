"""DT510 where its examples do not reach, torch-free.

Protects: reductions that TOSA has for their dtype, and the repair of those whose result is a float.
"""

from __future__ import annotations

import pytest

from fuseguard.engine import Effect, Insert, Unannotate, run
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target
from fuseguard_rules.dtype.dt510_reduction_of_raw_numbers import ReductionOfRawNumbers
from fuseguard_testkit.linting import find

SHAPE = (1, 4, 6, 6)
SUM, CUMSUM = "aten.sum.dim_IntList", "aten.cumsum.default"


def reduced(read: str, target: str, dtype: str, *, annotated: bool = False, scaled: bool = False) -> Graph:
    b = GraphBuilder()
    value = b.call(target, b.input("x", SHAPE, read), 1, shape=SHAPE, dtype=dtype, annotated=annotated)
    if annotated:
        value = b.requantize(value, int8(0.05))
    if scaled:
        value = b.requantize(b.call("aten.mul.Tensor", value, value, shape=SHAPE), int8(0.05))
    return b.output(value)


@pytest.mark.parametrize(
    ("graph", "cases"),
    [
        (reduced("float32", SUM, "float32"), []),
        (reduced("int32", SUM, "int32"), []),
        (reduced("int64", SUM, "int64"), []),
        (reduced("bool", SUM, "int64"), []),
        (reduced("int32", "aten.amax.default", "int32"), []),
        (reduced("int16", SUM, "int32"), ["sum"]),
        (reduced("int32", CUMSUM, "float32"), ["float cumsum"]),
        (reduced("int32", CUMSUM, "float32", annotated=True), ["cumsum"]),
        (reduced("int32", SUM, "float32"), ["float cast"]),
        (reduced("int32", SUM, "float32", annotated=True), ["cast"]),
        (reduced("int32", SUM, "float32", annotated=True, scaled=True), ["scaled cast"]),
    ],
)
def test_what_it_finds(graph: Graph, cases: list[str]) -> None:
    assert [item.case for item in find(ReductionOfRawNumbers(), graph)] == cases


def test_codes_are_no_raw_numbers() -> None:
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, int8(0.05))
    graph = b.output(b.requantize(b.call(CUMSUM, x, 1, shape=SHAPE), int8(0.05)))
    assert find(ReductionOfRawNumbers(), graph) == ()


@pytest.mark.parametrize(
    ("release", "profile", "effect"),
    [
        ("1.5.1", "INT", Effect.RUNTIME_FAULT),
        ("1.5.1", "INT+FP", Effect.WRONG),
        ("1.4.1", "INT", Effect.CRASH),
    ],
)
def test_what_a_marked_sum_of_int32_does(release: str, profile: str, effect: Effect) -> None:
    graph = reduced("int32", SUM, "float32", annotated=True)
    report = run(graph, Target.parse(f"TOSA-1.0+{profile}", release), (ReductionOfRawNumbers(),))
    assert [item.effect for item in report.findings] == [effect]


@pytest.mark.parametrize(("annotated", "edits"), [(False, [Insert]), (True, [Insert, Unannotate])])
def test_a_repair_casts_before_the_op_which_is_float_then(annotated: bool, edits: list[type]) -> None:
    (finding,) = find(ReductionOfRawNumbers(), reduced("bool", SUM, "float32", annotated=annotated))
    assert finding.rewrite is not None
    assert [type(edit) for edit in finding.rewrite.edits] == edits


def test_an_integer_result_is_not_repaired() -> None:
    (finding,) = find(ReductionOfRawNumbers(), reduced("bool", SUM, "int32"))
    assert finding.rewrite is None
