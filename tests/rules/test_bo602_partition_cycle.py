"""BO602 where its examples do not reach, torch-free.

Protects: a partition that the partitioner would not make is not a cycle.
"""

from __future__ import annotations

import pytest

from fuseguard.engine import Effect
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard_rules.boundary.bo602_partition_cycle import PartitionCycle
from fuseguard_testkit.linting import find

SHAPE = (1, 4, 8, 8)
QPARAMS = int8(0.05)


def shared(
    *, before: bool = True, rejoin: bool = False, both_fast: bool = False, early: bool = False, back: bool = False
) -> Graph:
    """tanh -> DQ -> sigmoid -> abs, with exp on the CPU reading the same DQ; ``back``: and quantized again."""
    b = GraphBuilder()
    value = b.quantized_input("x", SHAPE, QPARAMS)
    if early:
        value = b.requantize(b.call("aten.exp.default", value, annotated=False), QPARAMS)
    if before:
        value = b.requantize(b.call("aten.tanh.default", value), QPARAMS)
    slow = b.call("aten.exp.default", value, annotated=both_fast)
    value = b.requantize(b.call("aten.sigmoid.default", value), QPARAMS)
    value = b.requantize(b.call("aten.abs.default", value), QPARAMS)
    if rejoin or both_fast or back:
        slow = b.requantize(slow, QPARAMS)
    if rejoin:
        return b.output(b.requantize(b.call("aten.add.Tensor", value, slow), QPARAMS))
    return b.output(value, slow)


@pytest.mark.parametrize(
    ("graph", "found"),
    [
        (shared(), True),
        (shared(early=True), True),
        (shared(before=False), False),
        (shared(rejoin=True), False),
        (shared(both_fast=True), False),
        (shared(back=True), False),
    ],
    ids=[
        "cycle",
        "after another op on the CPU",
        "nothing in front",
        "in a partition with what waits",
        "no op on CPU",
        "its quantize op is in a partition with what waits",
    ],
)
def test_a_cycle_takes_one_partition_on_both_sides(graph: Graph, found: bool) -> None:
    assert bool(find(PartitionCycle(), graph, "TOSA-1.0+INT", "1.2.0")) == found


def test_the_op_in_the_middle_is_refused_with_all_that_share_its_dq() -> None:
    (finding,) = find(PartitionCycle(), shared(), "TOSA-1.0+INT", "1.2.0")
    assert {"sigmoid", "exp"} <= set(finding.cluster)
    assert finding.effect is Effect.CRASH
    (finding,) = find(PartitionCycle(), shared(), "TOSA-1.0+INT", "1.5.1")
    assert finding.effect is Effect.CPU_FALLBACK
