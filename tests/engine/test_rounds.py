"""A repair ends: in a round that has nothing left to do, or as a fault that says which rules are to blame.

Protects: a repair that runs in circles unnoticed, and one that is called endless since it takes its time.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Insert, Pair, Report, Rewrite, Rule
from fuseguard.engine.registry import load_registry
from fuseguard.engine.rounds import PATIENCE, EndlessRepair, RepairFault
from fuseguard.ir import Graph, Node, QParams, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target
from fuseguard_rules.dtype.dt504_internal_uint8 import InternalUint8
from fuseguard_testkit.composing import as_uint8
from fuseguard_testkit.graph_rewriting import repair_graph

RULES = load_registry().select()
TARGET = Target.parse("TOSA-1.0+INT+FP", "1.5.1")


class Moving(Rule):
    """Finds fault with the qparams that a relu reads, and puts others in front of it."""

    code = "ZZ100"
    name = "even-zero-point"
    summary = why = remedy = "None."
    scope = "node"
    message = "{node}"
    effects = EffectsTable([EffectRow("*", "*", "*", Effect.WRONG, reference="none")])
    bad = good = ()

    def objects_to(self, qparams: QParams) -> bool:
        return qparams.zero_point % 2 == 0

    def instead_of(self, qparams: QParams) -> QParams:
        return int8(qparams.scale, qparams.zero_point + 1)

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node in view.calls():
            qparams = view.in_qp(node, 0)
            if node.kind == "relu" and qparams is not None and self.objects_to(qparams):
                yield self.finding(view, target, (node, _dq(view, node)), case="*", node=node.name)

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        node = view.graph[finding.nodes[0]]
        dq = _dq(view, node)
        qparams = view.qparams(dq)
        assert qparams is not None
        return Rewrite((Insert(dq.name, (node.name,), (Pair(self.instead_of(qparams)),)),))


def _dq(view: View, node: Node) -> Node:
    dq = view.in_dq(node, 0)
    assert dq is not None
    return dq


class Back(Moving):
    code = "ZZ200"
    name = "odd-zero-point"

    def objects_to(self, qparams: QParams) -> bool:
        return qparams.zero_point % 2 == 1

    def instead_of(self, qparams: QParams) -> QParams:
        return int8(qparams.scale, qparams.zero_point - 1)


class Idle(Moving):
    """What it puts in is what it finds fault with."""

    def instead_of(self, qparams: QParams) -> QParams:
        return qparams


class Drifting(Moving):
    """Never finds fault with the same twice."""

    def objects_to(self, qparams: QParams) -> bool:
        return True

    def instead_of(self, qparams: QParams) -> QParams:
        return int8(qparams.scale * 1.01)


class Slow(Moving):
    """Gets there in the end."""

    def objects_to(self, qparams: QParams) -> bool:
        return qparams.zero_point < PATIENCE - 2

    def instead_of(self, qparams: QParams) -> QParams:
        return int8(qparams.scale, qparams.zero_point + 1)


def relus(count: int = 1) -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 4, 8, 8), int8(0.05))
    return b.output(*(b.requantize(b.call("aten.relu.default", x), int8(0.05, -128)) for _ in range(count)))


def endless(graph: Graph, *rules: Rule) -> EndlessRepair:
    with pytest.raises(EndlessRepair) as caught:
        repair_graph(graph, TARGET, rules)
    return caught.value


def test_two_repairs_that_undo_one_another_are_named_with_their_nodes() -> None:
    fault = endless(relus(), Moving(), Back())
    assert fault.rules == ("ZZ100", "ZZ200")
    assert fault.rounds == 2
    assert [repair.finding.nodes for repair in fault.repairs] == [("relu", "dequantize_per_tensor"), ("relu",)]
    assert str(fault) == (
        "The repair does not end: the repairs of ZZ100 (even-zero-point) at relu, dequantize_per_tensor and ZZ200 "
        "(odd-zero-point) at relu undo one another, and the same finding is back after round 2. The program is "
        "unchanged. Repair it without one of the rules ('ignore' in Python, --ignore ZZ100 on the command line); the "
        "guard keeps what is not repaired off the accelerator. This is a bug in the repairs of these rules, please "
        "report it."
    )


def test_only_those_are_named_that_go_in_circles() -> None:
    """What was repaired before, and is repaired, is not part of it."""
    b = GraphBuilder()
    x = b.dequantize(b.input("x", (1, 4, 8, 8), "uint8"), QParams.per_tensor(0.05, 128, 0, 255, "uint8"))
    fault = endless(
        b.output(b.requantize(b.call("aten.relu.default", x), int8(0.05))), InternalUint8(), Moving(), Back()
    )
    assert set(fault.rules) == {"ZZ100", "ZZ200"}


def test_a_repair_that_repairs_nothing_is_named_alone() -> None:
    fault = endless(relus(), Idle())
    assert fault.rounds == 1
    assert "the repair of ZZ100 (even-zero-point) at relu, dequantize_per_tensor does not remove its finding" in str(
        fault
    )
    assert "This is a bug in this rule's repair, please report it." in str(fault)


def test_circles_in_several_places_are_told_once_each() -> None:
    fault = endless(relus(3), Moving(), Back())
    assert "the same 3 findings are back" in str(fault)
    assert len(fault.repairs) == len({(item.finding.code, item.finding.nodes) for item in fault.repairs}) == 6


def test_a_repair_that_never_comes_back_to_the_same_ends_too() -> None:
    fault = endless(relus(), Drifting())
    assert fault.rounds == PATIENCE
    assert f"{PATIENCE} rounds have left no fewer than 1 finding to repair" in str(fault)


def test_a_repair_may_take_many_rounds() -> None:
    _, applied, report = repair_graph(relus(), TARGET, (Slow(),))
    assert len(applied) == PATIENCE - 2
    assert not report.findings


def many_uint8_inputs(count: int) -> Graph:
    """All of them in one cat, so that DT504's rewrites have to wait for one another."""
    b = GraphBuilder()
    qparams = as_uint8(int8(0.05))
    assert qparams is not None
    inputs = tuple(b.dequantize(b.input(f"x{number}", (1, 1, 4, 4), "uint8"), qparams) for number in range(count))
    return b.output(b.requantize(b.call("aten.cat.default", inputs, 1, shape=(1, count, 4, 4)), int8(0.05)))


def test_progress_in_every_round_is_no_circle_however_many_rounds_there_are() -> None:
    seen: list[Report] = []
    _, applied, report = repair_graph(many_uint8_inputs(20), TARGET, (InternalUint8(),), watch=seen.append)
    assert len(seen) == 21 > PATIENCE
    assert len(applied) == 20
    assert not report.findings


def test_rules_that_meet_there_bring_all_of_them_to_one_dtype_at_once() -> None:
    seen: list[Report] = []
    _, applied, report = repair_graph(many_uint8_inputs(20), TARGET, RULES, watch=seen.append)
    assert len(seen) == 3
    assert [item.finding.code for item in applied] == ["DT504", "DT501"]
    assert not report.findings


def test_the_fault_is_a_repair_fault_and_survives_pickle() -> None:
    fault = endless(relus(), Moving(), Back())
    assert isinstance(fault, RepairFault)
    copy: Any = pickle.loads(pickle.dumps(fault))
    assert (str(copy), copy.rules, copy.repairs, copy.rounds) == (str(fault), fault.rules, fault.repairs, fault.rounds)
