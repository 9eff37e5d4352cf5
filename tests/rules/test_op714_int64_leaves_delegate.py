"""OP714 where its examples do not reach, torch-free.

Protects: only constants are reported that CheckInt64InputsAndOutputs lets pass.
"""

from __future__ import annotations

import pytest

from fuseguard.engine import Effect, run
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target
from fuseguard_rules.operator.op714_int64_leaves_delegate import Int64LeavesDelegate
from fuseguard_testkit.linting import find

SHAPE = (1, 4, 6, 6)


def beside(*constants: tuple[str, tuple[object, ...]], first: str = "float", reader: str = "output") -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, int8(0.05))
    result = b.requantize(b.call("aten.sigmoid.default", x), int8(1 / 256, -128))
    made = [b.call(name, *args, shape=(2,), dtype="int64", annotated=False) for name, args in constants]  # type: ignore[arg-type]
    if reader == "add":
        made = [b.call("aten.add.Tensor", item, item, dtype="int64", annotated=False) for item in made]
    if reader == "comparison":
        made = [b.call("aten.lt.Scalar", item, 3, dtype="bool", annotated=False) for item in made]
    return b.output(*((result, *made) if first == "float" else (*made, result)))


ONES = ("aten.ones.default", ((2,),))


@pytest.mark.parametrize(
    ("graph", "found"),
    [
        (beside(ONES), 1),
        (beside(ONES, ONES), 2),
        (beside(ONES, first="int64"), 0),
        (beside(ONES, reader="add"), 0),  # what reads it yields int64
        (beside(ONES, reader="comparison"), 0),  # which takes it along into the delegate
        (beside(("aten.full.default", ((2,), 2**31))), 0),
        (beside(("aten.full.default", ((2,), 2**31 - 1))), 1),
        (beside(("aten.arange.start", (-1, 1))), 1),
        (beside(("aten.eye.default", (2,))), 1),
    ],
)
def test_constants_that_leave_a_delegate(graph: Graph, found: int) -> None:
    assert len(find(Int64LeavesDelegate(), graph, release="1.5.1")) == found


@pytest.mark.parametrize(
    ("args", "cast", "release", "profile", "effect"),
    [
        ((1,), True, "1.4.1", "INT+FP", Effect.RUNTIME_FAULT),
        ((1,), True, "1.4.1", "INT", Effect.CPU_FALLBACK),
        ((1,), True, "1.5.1", "INT+FP", None),
        ((1,), True, "1.3.1", "INT+FP", None),
        ((1,), False, "1.4.1", "INT+FP", None),
        ((None,), True, "1.4.1", "INT+FP", None),
        ((1, True), True, "1.4.1", "INT+FP", None),
    ],
)
def test_argmax(args: tuple[object, ...], cast: bool, release: str, profile: str, effect: Effect | None) -> None:
    b = GraphBuilder()
    value = b.quantized_input("x", SHAPE, int8(0.05))
    found = b.call("aten.argmax.default", value, *args, shape=(1, 6, 6), dtype="int64", annotated=False)  # type: ignore[arg-type]
    if cast:
        found = b.call("aten.to.dtype", found, "int32", dtype="int32", annotated=False)
    graph = b.output(found)
    findings = run(graph, Target.parse(f"TOSA-1.0+{profile}", release), (Int64LeavesDelegate(),)).findings
    assert [finding.effect for finding in findings] == ([] if effect is None else [effect])
