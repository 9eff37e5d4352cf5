"""OP721 where its examples do not reach, torch-free.

Protects: forms that are lowered after all, and the repairs.
"""

from __future__ import annotations

import pytest

from fuseguard.engine import Call, Insert, Pair, SetArgument
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.graph import Arg
from fuseguard_rules.operator.op721_op_form_not_lowered import OpFormNotLowered
from fuseguard_testkit.linting import find

SHAPE = (1, 4, 6, 6)
QPARAMS = int8(0.0237, -3)


def padded(*args: Arg, shape: tuple[int, ...], target: str = "aten.pad.default") -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, QPARAMS)
    return b.output(b.requantize(b.call(target, x, *args, shape=shape), QPARAMS))


def unpadded_float() -> Graph:
    """The INT profile leaves a pad that is not quantized on the CPU."""
    b = GraphBuilder()
    return b.output(b.call("aten.pad.default", b.input("x", SHAPE), (-1, -1), shape=(1, 4, 6, 4), annotated=False))


def of_inputs(target: str, *dtypes: str, shape: tuple[int, ...] = SHAPE, dtype: str = "bool") -> Graph:
    """An op of inputs of the program."""
    b = GraphBuilder()
    given = [b.input(f"x{number}", SHAPE, kind) for number, kind in enumerate(dtypes)]
    x = b.quantized_input("y", SHAPE, QPARAMS)
    made = b.call(target, *given, shape=shape, dtype=dtype, annotated=False)
    return b.output(made, b.requantize(b.call("aten.neg.default", x), QPARAMS))


@pytest.mark.parametrize(
    "graph",
    [
        padded((-1, -1), "reflect", shape=(1, 4, 6, 4)),
        padded((0, 0, 1, 1), "constant", shape=(1, 4, 8, 6)),
        of_inputs("aten.logical_not.default", "int64"),
        of_inputs("aten.logical_and.default", "bool", "bool"),
        of_inputs("aten.mul.Tensor", "bool", "bool"),
        of_inputs("aten.eq.Tensor", "bool", "int32"),
        of_inputs("aten.add.Tensor", "bool", "bool", dtype="int32"),
    ],
    ids=["reflection", "nothing negative", "int64 on the CPU", "bools", "product", "mixed", "sum of int32"],
)
def test_what_is_lowered_or_stays_on_the_cpu(graph: Graph) -> None:
    assert not find(OpFormNotLowered(), graph)


@pytest.mark.parametrize(("spec", "found"), [("TOSA-1.0+INT", 0), ("TOSA-1.0+INT+FP", 1)])
def test_a_pad_of_floats_is_delegated_where_floats_are_lowered(spec: str, found: int) -> None:
    assert len(find(OpFormNotLowered(), unpadded_float(), spec)) == found


@pytest.mark.parametrize("target", ["aten.pad.default", "aten.constant_pad_nd.default"])
def test_the_repair_of_a_pad_slices_each_dimension_that_it_crops(target: str) -> None:
    graph = padded((-1, 2, 0, -3), *(() if "nd" in target else ("constant",)), shape=(1, 4, 3, 7), target=target)
    [finding] = find(OpFormNotLowered(), graph)
    assert finding.rewrite is not None
    insert, argument = finding.rewrite.edits
    assert isinstance(insert, Insert)
    assert insert.steps == (
        Call("aten.slice.Tensor", (3, 1, 6)), Pair(QPARAMS), Call("aten.slice.Tensor", (2, 0, 3)), Pair(QPARAMS),
    )  # fmt: skip
    assert isinstance(argument, SetArgument)
    assert argument.value == (0, 2, 0, 0)


def test_the_repair_of_a_logical_op_casts_only_numbers() -> None:
    graph = of_inputs("aten.logical_and.default", "int32", "bool")
    [finding] = find(OpFormNotLowered(), graph)
    assert finding.rewrite is not None
    [insert] = finding.rewrite.edits
    assert isinstance(insert, Insert)
    assert (insert.value, insert.steps) == ("x0", (Call("aten.to.dtype", ("bool",), annotated=False),))


def test_what_reads_bools_for_numbers_or_adds_to_columns_has_no_repair() -> None:
    """The cast of a logical op's operands once went to the index of an index_add."""
    for example in OpFormNotLowered.bad:
        if example.title.startswith(("bools", "larger", "index_add")):
            [finding] = find(OpFormNotLowered(), example.graph())
            assert finding.rewrite is None, example.title


def strided(size: tuple[int, ...], stride: tuple[int, ...], *offset: int, annotated: bool = False) -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, QPARAMS)
    return b.output(b.call("aten.as_strided.default", x, size, stride, *offset, shape=size, annotated=annotated))


@pytest.mark.parametrize(
    ("graph", "effects"),
    [
        (strided((1, 2, 6, 6), (144, 36, 6, 1)), ("cpu_fallback", "crash")),
        (strided((1, 2, 6, 6), (144, 36, 6, 1), annotated=True), ("crash", "crash")),
        (strided((1, 2, 6, 6), (144, 36, 6, 1), 0), ("cpu_fallback", "crash")),
        (strided((72,), (1,)), ("cpu_fallback", "crash")),
        (strided((72,), (2,)), ("cpu_fallback", "crash")),  # the check takes any last stride from 1 on
        (strided((144,), (1,)), ("", "")),
        (strided((4, 36), (36, 1)), ("", "")),
        (strided((2, 36), (72, 1)), ("", "")),  # refused: the strides are not contiguous
        (strided((1, 2, 6, 6), (144, 36, 6, 1), 36), ("", "")),  # refused: it begins elsewhere
    ],
)
def test_as_strided_of_some_elements_is_no_view(graph: Graph, effects: tuple[str, str]) -> None:
    for spec, effect in zip(("TOSA-1.0+INT", "TOSA-1.0+INT+FP"), effects, strict=True):
        found = [finding.effect.value for finding in find(OpFormNotLowered(), graph, spec)]
        assert found == ([effect] if effect else [])
