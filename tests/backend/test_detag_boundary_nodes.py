"""What the partitioner takes out of the partitions of an INT-only backend, torch-free."""

from __future__ import annotations

import pytest

from fuseguard.backend.detag_boundary_nodes import Detagged, detagged
from fuseguard.backend.partition import stays_outside
from fuseguard.ir import Graph, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target

SHAPE = (1, 4, 8, 8)
QPARAMS = int8(0.05)
RELEASES = ("1.2.0", "1.3.1", "1.4.1", "1.5.1")


def found(graph: Graph, release: str = "1.5.1") -> Detagged:
    taken = detagged(View(graph), Target.parse("TOSA-1.0+INT", release))
    assert taken is not None
    return taken


def added(*, through_cpu: bool = False, early: bool = True) -> Graph:
    """An input is an output, too, and its DQ is read by an add with another operand; tanh before it, if ``early``.
    ``through_cpu``: the other operand comes from the CPU, and so the add is in a later partition than the tanh.
    """
    b = GraphBuilder()
    value = b.quantized_input("x", SHAPE, QPARAMS)
    if early:
        value = b.requantize(b.call("aten.tanh.default", value), QPARAMS)
    other = b.quantized_input("y", SHAPE, QPARAMS)
    if through_cpu:
        other = b.requantize(b.call("aten.mul.Tensor", value, other), QPARAMS)
        other = b.requantize(b.call("aten.exp.default", other, annotated=False), QPARAMS)
    made = b.requantize(b.call("aten.add.Tensor", value, other), QPARAMS)
    return b.output(made) if through_cpu else b.output(made, value)


def test_a_program_in_which_each_reader_has_its_own_dequantize_op_loses_nothing() -> None:
    b = GraphBuilder()
    graph = b.output(b.requantize(b.call("aten.tanh.default", b.quantized_input("x", SHAPE, QPARAMS)), QPARAMS))
    assert detagged(View(graph), Target.parse("TOSA-1.0+INT", "1.5.1")) is None


@pytest.mark.parametrize("release", RELEASES)
def test_the_other_dequantize_ops_of_an_op_that_is_taken_out_stay(release: str) -> None:
    taken = found(added(), release)
    assert set(taken.ops) == {"add"}
    assert len(taken.behind) == 1
    assert not taken.between


@pytest.mark.parametrize("release", RELEASES)
def test_dequantize_ops_alone_are_a_partition_before_1_4_only(release: str) -> None:
    assert bool(found(added(early=False), release).behind) == (release < "1.4")


def test_an_op_in_a_later_partition_than_its_dequantize_op_is_taken_out() -> None:
    taken = found(added(through_cpu=True))
    assert set(taken.ops) == {"add", "mul"}
    assert taken.partitions["add"] < taken.partitions["mul"]
    (stays,) = taken.behind  # nothing is left in the partition of the add
    assert taken.partitions[stays] == taken.partitions["mul"]


def gated(*, residual: bool) -> Graph:
    """tanh -> sigmoid -> abs, with the tanh as an output by the sigmoid's DQ; ``residual``: abs + tanh."""
    b = GraphBuilder()
    codes = b.quantize(b.call("aten.tanh.default", b.quantized_input("x", SHAPE, QPARAMS)), QPARAMS)
    value = b.dequantize(codes, QPARAMS)
    made = b.requantize(b.call("aten.sigmoid.default", value), QPARAMS)
    made = b.requantize(b.call("aten.abs.default", made), QPARAMS)
    if residual:
        made = b.requantize(b.call("aten.add.Tensor", made, b.dequantize(codes, QPARAMS)), QPARAMS)
    return b.output(made, value)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("release", RELEASES)
def test_parts_that_another_path_joins_depend_on_each_other(release: str, residual: bool) -> None:
    taken = found(gated(residual=residual), release)
    assert {name: after.name for name, after in taken.between.items()} == {"sigmoid": "abs"}
    assert taken.knotted == ({"sigmoid"} if residual else set())


@pytest.mark.parametrize("profile", ["TOSA-1.0+INT", "TOSA-1.0+INT+FP"])
@pytest.mark.parametrize("same", [False, True])
def test_a_choice_between_a_tensor_and_itself_stays_on_the_cpu(profile: str, same: bool) -> None:
    b = GraphBuilder()
    value, other = b.quantized_input("x", SHAPE, QPARAMS), b.quantized_input("y", SHAPE, QPARAMS)
    mask = b.call("aten.gt.Tensor", value, other, shape=SHAPE, dtype="bool")
    choice = b.call("aten.where.self", mask, other, other if same else value, shape=SHAPE)
    view = View(b.output(b.requantize(choice, QPARAMS)))
    assert stays_outside(view, view.graph[choice], Target.parse(profile, "1.5.1")) == same
