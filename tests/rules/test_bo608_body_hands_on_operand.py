"""BO608 where its examples do not reach, torch-free: each form was compiled by Vela 5.1.0 for u85-256.

Protects: what the backend does with a body before there is a TOSA, on which the rule has to agree with it.
tests/engines/test_vela.py compiles the examples.
"""

from __future__ import annotations

import pytest

from fuseguard.engine import run
from fuseguard.ir import Graph, QParams
from fuseguard.ir.builder import GraphBuilder
from fuseguard.target import Target
from fuseguard_rules.boundary.bo608_body_hands_on_operand import BodyHandsOnOperand
from fuseguard_rules.examples.boundary import control_flow_graphs as graphs
from fuseguard_rules.operator.op724_result_is_delegate_input import ResultIsDelegateInput

SHAPE = (2, 4, 4)
U85 = Target.parse("ethos-u85-256", "1.5.1")
RULES = (BodyHandsOnOperand(), ResultIsDelegateInput())


def branch(*steps: tuple[str, tuple[object, ...], tuple[int, ...]], q: QParams = graphs.FIRST) -> Graph:
    """The first operand, after ``steps`` that are quantized with ``q``: operator, arguments, shape."""
    b = GraphBuilder()
    value, _ = b.requantize(b.input("arg0", SHAPE), graphs.FIRST), b.input("arg1", SHAPE)
    for target, args, shape in steps:
        value = b.requantize(b.call(target, value, *args, shape=shape), q)  # type: ignore[arg-type]
    return b.output(value)


def with_branch(body: Graph, result: QParams = graphs.FIRST) -> Graph:
    """The cond of the examples, which yields x or adds y to it, with another first branch."""
    graph = graphs.cond(branches=("add", "add"), result=result)()
    bodies = {**graph.subgraphs, "true_graph_0": Graph(list(body), name="true_graph_0")}
    return Graph(list(graph), subgraphs=bodies)


def codes(graph: Graph, target: Target = U85) -> list[str]:
    report = run(graph, target, RULES)
    assert not report.failures
    return [finding.code for finding in report.findings]


CLONE = ("aten.clone.default", (), SHAPE)
TURNED = ("aten.permute.default", ((0, 2, 1),), SHAPE)
ABS = ("aten.abs.default", (), SHAPE)


def test_an_operand_alone_has_no_writer() -> None:
    assert codes(with_branch(branch())) == ["BO608"]


def test_a_rescale_at_the_exit_writes_it() -> None:
    assert not codes(with_branch(branch(), graphs.COARSE))


def test_a_body_of_no_ops_alone_keeps_control_flow_on_the_cpu() -> None:
    """The partitioner drops a partition of them, so the body is not partitioned."""
    assert not codes(with_branch(branch(CLONE)))


def test_what_cancels_out_inside_a_body_is_another_rule() -> None:
    assert codes(with_branch(branch(TURNED, TURNED))) == ["OP724"]


def test_what_an_op_computes_has_a_writer() -> None:
    assert not codes(with_branch(branch(ABS)))


def test_a_rescale_at_the_entry_writes_it() -> None:
    """The backend gives all operands the qparams of the first one (BO603)."""
    assert not codes(graphs.loop(second=graphs.COARSE, additional=True)())
    assert codes(graphs.loop(additional=True)()) == ["BO608"]


def test_an_operand_that_an_op_and_the_end_read_by_one_dq_keeps_the_loop_on_the_cpu() -> None:
    """The DQ is outside of the partition, so the body is not partitioned."""
    b = GraphBuilder()
    x, y = b.requantize(b.input("arg0", SHAPE), graphs.FIRST), b.requantize(b.input("arg1", SHAPE), graphs.FIRST)
    size = b.requantize(b.call("aten.abs.default", y), graphs.FIRST)
    total = b.requantize(b.call("aten.add.Tensor", x, size), graphs.FIRST)
    graph = graphs.loop(handed="operand")()
    assert codes(graph) == ["BO608"]
    body = Graph(list(b.output(total, y)), name="while_body_graph_0")
    assert not codes(Graph(list(graph), subgraphs={**graph.subgraphs, body.name: body}))


@pytest.mark.parametrize("target", ["ethos-u55-128", "TOSA-1.0+INT+cf", "vgf"])
def test_only_vela_refuses_it_and_only_u85_has_control_flow(target: str) -> None:
    assert not codes(graphs.loop(additional=True)(), Target.parse(target, "1.5.1"))


def test_a_loop_that_cannot_be_partitioned_is_not_reported() -> None:
    """An op in its body stays on the CPU."""
    b = GraphBuilder()
    x, y = b.requantize(b.input("arg0", SHAPE), graphs.FIRST), b.input("arg1", SHAPE)
    graph = graphs.loop(handed="operand")()
    unknown = b.requantize(b.call("aten.digamma.default", x), graphs.FIRST)
    body = Graph(list(b.output(unknown, b.requantize(y, graphs.FIRST))), name="while_body_graph_0")
    assert not codes(Graph(list(graph), subgraphs={**graph.subgraphs, body.name: body}))
