"""QP307 where its examples do not reach, torch-free: the op in front of a mean, and which ops become a mean.

Protects: a mean that a delegate rounds, and one that it does not. Each form was lowered on 1.5.1 for TOSA-1.0+INT+FP;
without an op in front of it, the mean was also lowered on 1.4.1, 1.3.1 and 1.2.0. All did the same.
"""

from __future__ import annotations

import pytest

from fuseguard.backend.partition import stays_on_cpu_with_float
from fuseguard.engine import run
from fuseguard.engine.finding import Effect
from fuseguard.ir import Graph, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.graph import Arg
from fuseguard.target import Target
from fuseguard_rules.qparams.qp307_float_mean_rounded import FloatMeanRounded
from fuseguard_testkit.graph_rewriting import repair_graph

SHAPE, VOLUME = (1, 4, 6, 6), (1, 4, 2, 4, 4)
Q = int8(0.05, 3)
FLOAT = Target.parse("TOSA-1.0+INT+FP", "1.5.1")


def program(
    target: str,
    *args: Arg,
    given: tuple[int, ...] = SHAPE,
    shape: tuple[int, ...] = (1, 4, 1, 1),
    through: tuple[str, tuple[Arg, ...]] | None = None,
    annotated: bool = False,
) -> Graph:
    b = GraphBuilder()
    value = b.requantize(b.call("aten.abs.default", b.quantized_input("x", given, Q)), Q)
    if through is not None:
        value = b.call(through[0], value, *through[1], shape=given, annotated=False)
    return b.output(b.call(target, value, *args, shape=shape, annotated=annotated))


MEAN: tuple[str, tuple[int, int], bool] = ("aten.mean.dim", (2, 3), True)


def found(graph: Graph, target: Target = FLOAT) -> bool:
    report = run(graph, target, (FloatMeanRounded(),))
    assert not report.failures
    return bool(report.findings)


@pytest.mark.parametrize(
    ("target", "args", "rounded"),
    [
        ("aten.relu.default", (), False),
        ("aten.clone.default", (), False),
        ("aten.dropout.default", (0.5, False), False),
        ("aten.view.default", (SHAPE,), False),
        ("aten.permute.default", ((0, 1, 2, 3),), False),
        ("aten.constant_pad_nd.default", ((0, 0),), False),
        ("aten.contiguous.default", (), True),
        ("aten.slice.Tensor", (1, 0, 4), True),
        ("aten._to_copy.default", (), True),
    ],
)
def test_an_op_between_prevents_it_unless_export_leaves_it_out(
    target: str, args: tuple[Arg, ...], rounded: bool
) -> None:
    assert found(program(*MEAN, through=(target, args))) == rounded


@pytest.mark.parametrize(
    ("target", "args", "given", "shape", "rounded"),
    [
        ("aten.adaptive_avg_pool2d.default", ((1, 1),), SHAPE, (1, 4, 1, 1), True),
        ("aten.adaptive_avg_pool2d.default", ((2, 2),), SHAPE, (1, 4, 2, 2), False),
        ("aten.adaptive_avg_pool3d.default", ((1, 1, 1),), VOLUME, (1, 4, 1, 1, 1), True),
        ("aten.adaptive_avg_pool3d.default", ((2, 2, 2),), VOLUME, (1, 4, 2, 2, 2), False),
        ("aten.adaptive_avg_pool1d.default", ((1,),), (1, 4, 16), (1, 4, 1), False),
        ("aten.avg_pool2d.default", ((6, 6),), SHAPE, (1, 4, 1, 1), False),
        ("aten.std.correction", ((2, 3),), SHAPE, (1, 4), True),
        ("aten.var.dim", ((2, 3),), SHAPE, (1, 4), True),
        ("aten.layer_norm.default", ((6,),), SHAPE, SHAPE, True),
        ("aten.layer_norm.default", ((1,),), (1, 4, 6, 1), (1, 4, 6, 1), False),
        ("aten.group_norm.default", (2,), SHAPE, SHAPE, False),
        ("aten.rms_norm.default", ((6,),), SHAPE, SHAPE, False),
        ("aten.sum.dim_IntList", ((2, 3), True), SHAPE, (1, 4, 1, 1), False),
    ],
)
def test_what_becomes_a_mean_of_several_values(
    target: str, args: tuple[Arg, ...], given: tuple[int, ...], shape: tuple[int, ...], rounded: bool
) -> None:
    assert found(program(target, *args, given=given, shape=shape)) == rounded


def test_an_annotated_mean_is_another_fault() -> None:
    """DT514 reports it."""
    assert not found(program(*MEAN, annotated=True))


def test_the_int_profile_leaves_it_on_the_cpu() -> None:
    report = run(program(*MEAN), Target.parse("TOSA-1.0+INT", "1.5.1"), (FloatMeanRounded(),))
    assert [finding.effect for finding in report.findings] == [Effect.CPU_FALLBACK]


def test_a_mean_of_floats_is_right() -> None:
    b = GraphBuilder()
    x = b.input("x", SHAPE)
    assert not found(b.output(b.call(*MEAN[:1], x, *MEAN[1:], shape=(1, 4, 1, 1), annotated=False)))


def test_a_pool_of_volumes_is_delegated_only_as_a_mean() -> None:
    """The support lists have no adaptive_avg_pool3d; the edge dialect makes a mean of one to a single element."""
    for size in (1, 2):
        shape = (1, 4, size, size, size)
        graph = program("aten.adaptive_avg_pool3d.default", shape[2:], given=VOLUME, shape=shape)
        [pool] = [node for node in graph if node.kind == "adaptive_avg_pool3d"]
        assert stays_on_cpu_with_float(View(graph), pool, FLOAT) == (size == 2)


def test_the_repair_puts_a_view_in_front_of_it() -> None:
    repaired, repairs, remaining = repair_graph(program(*MEAN), FLOAT, (FloatMeanRounded(),))
    assert len(repairs) == 1
    assert not remaining.findings
    [mean] = [node for node in repaired if node.kind == "mean"]
    [view] = View(repaired).graph.inputs(mean)
    assert (view.kind, view.annotated) == ("view", False)


def test_without_float_support_there_is_nothing_to_repair() -> None:
    """The view would be one op more on the CPU."""
    target = Target.parse("TOSA-1.0+INT", "1.5.1")
    _, repairs, remaining = repair_graph(program(*MEAN), target, (FloatMeanRounded(),))
    assert (len(repairs), len(remaining.findings)) == (0, 1)
