"""Where a VGF parts from its TOSA: the comparison on made-up tensors, and a delegate that a fake engine runs wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

pytestmark = pytest.mark.torch
pytest.importorskip("executorch")
np = pytest.importorskip("numpy")

from fuseguard.executorch.delegates import DelegateFault, NotJudged  # noqa: E402
from fuseguard.executorch.engines import locating  # noqa: E402
from fuseguard.executorch.engines.comparing_tensors import Apart, compared, first_apart  # noqa: E402
from fuseguard.executorch.engines.difference import EngineLocation, EngineOp  # noqa: E402
from fuseguard.executorch.keeping import Kept  # noqa: E402
from fuseguard.executorch.lockstep.cells import Cell  # noqa: E402
from fuseguard.executorch.lockstep.engine_ops import in_program  # noqa: E402
from fuseguard.executorch.lockstep.observing import Observed  # noqa: E402
from fuseguard.executorch.lockstep.tosa_graph import TosaGraph, TosaOp, TosaTensor  # noqa: E402
from fuseguard.ir.vgf import SharedValue, VgfProgram, VgfTensor  # noqa: E402

APART = Apart(1, 4, 3.0, (2,), 5.0, 8.0)


def graph_of(*ops: tuple[str, tuple[str, ...], str], outputs: tuple[str, ...], int48: str = "") -> TosaGraph:
    made = tuple(TosaOp(kind, inputs, (name,)) for kind, inputs, name in ops)
    names = {"x", *(name for _, _, name in ops)}
    tensors = {name: TosaTensor((4,), "INT48" if name == int48 else "INT8") for name in names}
    return TosaGraph(made, tensors, ("x",), outputs)


#: x -> conv (int48) -> a; a -> b -> d; a -> c; w is a constant.
GRAPH = graph_of(
    ("CONST", (), "w"),
    ("CONV2D", ("x", "w"), "sums"),
    ("RESCALE", ("sums",), "a"),
    ("TANH", ("a",), "b"),
    ("CLAMP", ("a",), "c"),
    ("ADD", ("b", "a"), "d"),
    outputs=("d", "c"),
    int48="sums",
)


def found(seen: dict[str, Apart | None], *outputs: str) -> list[tuple[tuple[str, ...], str, tuple[str, ...]]]:
    return [(op.kinds, op.tensor, op.operands) for op in first_apart(GRAPH, seen, outputs or GRAPH.outputs)]


# --- which operator ----------------------------------------------------------------------------------------


def test_the_operator_is_the_earliest_whose_operands_agree_and_not_those_that_read_it() -> None:
    assert found({"a": None, "b": APART, "c": None, "d": APART}) == [(("TANH",), "b", ("a",))]
    assert found({"a": None, "b": None, "c": None, "d": APART}) == [(("ADD",), "d", ("b", "a"))]


def test_what_cannot_be_compared_is_named_with_the_operator_after_it() -> None:
    seen = {"a": APART, "b": APART, "c": APART, "d": APART}
    assert found(seen) == [(("CONV2D", "RESCALE"), "a", ("x",))]


def test_two_independent_faults_are_two_operators_in_execution_order() -> None:
    seen = {"a": None, "b": APART, "c": APART, "d": APART}
    assert [name for _, name, _ in found(seen)] == ["b", "c"]
    assert [name for _, name, _ in found(seen, "c")] == ["c"]  # nothing else is upstream of it


def test_a_tensor_that_differs_while_what_is_computed_from_it_is_right_explains_nothing() -> None:
    """To make it an output has changed it: the operators that read it have the right value."""
    graph = graph_of(
        ("TRANSPOSE", ("x",), "a"), ("CLAMP", ("a",), "b"), ("ADD", ("b", "a"), "c"), outputs=("c",)
    )  # fmt: skip
    assert list(first_apart(graph, {"a": APART, "b": None, "c": None}, ("c",))) == []
    [op] = first_apart(graph, {"a": APART, "b": None, "c": APART}, ("c",))
    assert op.tensor == "a"  # c reads it directly


def test_nothing_differs_and_nothing_is_found() -> None:
    assert found(dict.fromkeys("abcd")) == []


def test_integers_to_the_bit_floats_within_the_tolerance_and_shapes_without_dimensions() -> None:
    codes = np.array([1, 2, 3, 4], np.int8)
    assert compared(codes, codes) is None
    assert compared(np.array([1, 2, 8, 4], np.int8), codes) == Apart(1, 4, 5.0, (2,), 3.0, 8.0)
    floats = np.array([1, -8], np.float32)
    assert compared(floats + np.float32(7e-5), floats) is None
    apart = compared(floats + np.float32(9e-5), floats)
    assert apart is not None
    assert apart.differing == 2
    assert compared(np.int32(3), np.asarray(np.int32(4))) == Apart(1, 1, 1.0, (), 4.0, 3.0)
    assert compared(np.array([True]), np.array([False])) == Apart(1, 1, 1.0, (0,), 0.0, 1.0)


# --- a delegate on a fake engine ------------------------------------------------------------------------------


class Fake:
    """A converter and an engine. ``wrong``: the operators that the engine computes otherwise, by their tensor.

    ``twins``: names that are one value in every VGF; of those that are outputs, only the last is written.
    """

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        graph: TosaGraph,
        wrong: Sequence[str] = (),
        twins: Sequence[str] = (),
        passed_on: Sequence[str] = (),
    ) -> None:
        self.graph, self.wrong, self.twins, self.passed_on = graph, wrong, twins, passed_on
        self.converted: list[tuple[str, ...]] = []
        monkeypatch.setattr(locating, "read_tosa", lambda tosa: graph)
        monkeypatch.setattr(locating, "with_outputs", lambda tosa, names: ",".join(names).encode())
        monkeypatch.setattr(locating, "read_vgf", lambda vgf, budget: self.program(vgf.decode().split(",")))
        monkeypatch.setattr(locating, "run_and_keep", self.reference)

    def program(self, names: list[str]) -> VgfProgram:
        tensors = tuple(VgfTensor(name, number, (4,), "R8_SINT") for number, name in enumerate(names))
        places = tuple(number for number, name in enumerate(names) if name in self.twins)
        shared = (SharedValue(places, places),) if len(places) > 1 else ()
        passed_on = tuple(number for number, name in enumerate(names) if name in self.passed_on)
        return VgfProgram((0, 0, 0), (), tensors, shared=shared, passed_on=passed_on)

    def convert(self, tosa: bytes) -> bytes:
        self.converted.append(tuple(tosa.decode().split(",")))
        return tosa

    def reference(self, tosa: bytes, arrays: Any) -> tuple[list[Kept], str]:
        return [Kept.of(value) for value in self.values(tosa, arrays, ())], "TOSA_VALID"

    def run(self, vgf: bytes, arrays: Any) -> list[Any]:
        names = vgf.decode().split(",")
        values = self.values(vgf, arrays, self.wrong)
        written = [name for name in names if name in self.twins][-1:]
        return [
            np.zeros_like(value) if name in self.twins and name not in written else value
            for name, value in zip(names, values, strict=True)
        ]

    def values(self, names: bytes, arrays: Any, wrong: Sequence[str]) -> list[Any]:
        known = {"x": arrays[0]}
        for op in self.graph.ops:
            total = sum((known[name] for name in op.inputs), np.zeros(4, np.int8))
            known[op.outputs[0]] = (
                total + (op.name != "IDENTITY") + 3 * (op.outputs[0] in wrong)
            ).astype(np.int8)  # fmt: skip
        return [known[name] for name in names.decode().split(",")]

    def located(self, *outputs: int) -> EngineLocation:
        return locating.located(0, b"", [np.arange(4, dtype=np.int8)], outputs, self.convert, self.run)


def test_a_wrong_operator_is_found_with_all_tensors_as_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(monkeypatch, GRAPH, wrong=("b",))
    location = fake.located(0)
    assert fake.converted == [("a", "b", "c", "d")]  # no constant, and no int48
    [op] = location.ops
    assert (op.kinds, op.tensor, op.differing, op.elements, op.largest) == (("TANH",), "b", 4, 4, 3.0)
    assert (location.compared, location.tensors, location.reproduced, location.reason) == (4, 5, (0,), "")
    assert str(location) == "delegate 0: first at TANH, which yields b: 4 of 4 elements"


#: Two outputs that are one value but for identities.
TWINS = graph_of(
    ("RESCALE", ("x",), "y"), ("IDENTITY", ("y",), "first"), ("IDENTITY", ("y",), "second"), outputs=("first", "second")
)


def test_outputs_with_one_value_are_an_output_once_and_the_report_says_that_no_operator_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = Fake(monkeypatch, TWINS, twins=("y", "first", "second"))
    location = fake.located(0)
    assert fake.converted == [("y", "first", "second"), ("y",)]
    assert (location.ops, location.reproduced, location.compared) == ((), (), 3)
    assert location.merged == (("y", "first", "second"),)
    assert "no operator: with all 3 tensors visible, each is right" in str(location)
    assert str(location).endswith("The VGF has one value for y, first, second")


def test_tensors_that_the_converter_merges_by_mistake_differ_at_the_one_that_lost_its_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = Fake(monkeypatch, GRAPH, twins=("b", "c"))
    fake.graph = graph_of(*[(op.name, op.inputs, op.outputs[0]) for op in GRAPH.ops[:4]], ("CLAMP", ("b",), "c"),
                          ("ADD", ("b", "a"), "d"), outputs=("d", "c"), int48="sums")  # fmt: skip
    monkeypatch.setattr(locating, "read_tosa", lambda tosa: fake.graph)
    location = fake.located(1)
    assert [(op.kinds, op.tensor, op.operands) for op in location.ops] == [(("CLAMP",), "c", ("b",))]


def test_a_difference_that_is_gone_when_tensors_are_visible_is_said_to_be_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    location = Fake(monkeypatch, GRAPH).located(0)
    assert (location.ops, location.reproduced, location.merged) == ((), (), ())
    assert str(location).endswith("each is right, and the difference is gone")


def test_an_input_that_is_passed_on_is_not_said_to_be_right(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of(("IDENTITY", ("x",), "same"), ("CLAMP", ("same",), "y"), outputs=("same", "y"))
    fake = Fake(monkeypatch, graph, passed_on=("same",))
    assert "output 0 is an input that the VGF passes on" in str(fake.located(0))
    assert fake.converted == [("same", "y"), ("y",)]
    assert fake.located(1).compared == 1


@pytest.mark.parametrize("error", [DelegateFault("died"), NotJudged("too slow"), RuntimeError("refused\nmore")])
def test_a_graph_that_does_not_run_so_has_a_reason(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    fake = Fake(monkeypatch, GRAPH)

    def fail(vgf: bytes, arrays: Any) -> Any:
        raise error

    location = locating.located(2, b"", [np.zeros(4, np.int8)], (0,), fake.convert, fail)
    assert (location.ops, location.compared) == ((), 0)
    assert str(location) == f"delegate 2: not located: {str(error).splitlines()[0]}"


# --- the program's op --------------------------------------------------------------------------------------


def test_the_operator_has_the_value_of_the_program_that_comes_next() -> None:
    observed = Observed()
    for name, kind, sources in (("b", "TANH", ()), ("d", "RESCALE", ("b",)), ("e", "ADD", ("d",))):
        observed._add(("delegate 0", name), kind, [("delegate 0", item) for item in sources], None)
    cells = [
        Cell("quantize_1", "exact", ("tanh",), tensor="d of delegate 0", source="model.py:3"),
        Cell("quantize_2", "exact", ("add",), tensor="e of delegate 0", source="model.py:4"),
    ]
    op = EngineOp(("TANH",), "b", (), 1, 4, 1.0, (0,), 0.0, 1.0)
    [location] = in_program([EngineLocation(0, 3, 3, (op,))], observed, cells)
    assert (location.ops[0].value, location.ops[0].program_ops) == ("quantize_1", ("tanh",))
    assert str(location.ops[0]).endswith("1 of 4 elements, at model.py:3")
    # Another operator at that place is another delegate's: nothing is claimed.
    other = EngineOp(("EXP",), "b", (), 1, 4, 1.0, (0,), 0.0, 1.0)
    assert in_program([EngineLocation(0, 3, 3, (other,))], observed, cells)[0].ops == (other,)
    assert in_program([EngineLocation(0, 3, 3, (op,))], None, cells)[0].ops == (op,)
