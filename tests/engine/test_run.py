"""Running rules over a program: control-flow bodies, order, and what is said when there is nothing to check."""

from __future__ import annotations

from fuseguard.engine import run
from fuseguard.engine.registry import load_registry
from fuseguard.ir import Graph, Node, Ref, TensorMeta
from fuseguard.ir.builder import GraphBuilder
from fuseguard.target import Target
from fuseguard_rules.examples.fusion import islands as examples

RULES = load_registry().select()
TARGET = Target.parse("TOSA-1.0+INT+FP", "1.5.1")
META = TensorMeta("float32", (1, 4, 8, 8))


def with_branch(body: Graph) -> Graph:
    nodes = [
        Node("x", "placeholder", outputs=(META,)),
        Node("cond", "call", "higher_order.cond", (True, "true_graph_0", (Ref("x"),)), subgraphs=("true_graph_0",)),
        Node("output", "output", args=((Ref("cond"),),)),
    ]
    return Graph(nodes, subgraphs={"true_graph_0": body})


def test_a_fault_in_a_branch_is_found_and_says_where() -> None:
    broken = examples.OUT_OF_RANGE[0].graph()
    body = Graph(list(broken), name="true_graph_0", buffers=broken.buffers)
    report = run(with_branch(body), TARGET, RULES)
    assert [(finding.code, finding.graph) for finding in report.findings] == [("FU101", "true_graph_0")]
    assert not report.refused(), "node names of a branch are not names of the top level"
    assert report.islands == 1


def test_errors_come_before_notes() -> None:
    narrow = examples.NARROW[0].graph()
    broken = examples.OUT_OF_RANGE[0].graph()
    nodes = [
        _renamed(node, prefix)
        for prefix, graph in (("a", narrow), ("b", broken))
        for node in graph
        if node.op != "output"
    ]
    outputs = tuple(Ref(f"{p}_{ref.name}") for p, g in (("a", narrow), ("b", broken)) for ref in g["output"].refs())
    report = run(Graph([*nodes, Node("output", "output", args=(outputs,))]), TARGET, RULES)
    assert [finding.code for finding in report.findings] == ["FU101", "FU103"]


def _renamed(node: Node, prefix: str) -> Node:
    from dataclasses import replace

    def rename(arg):
        if isinstance(arg, Ref):
            return Ref(f"{prefix}_{arg.name}")
        return tuple(rename(part) for part in arg) if isinstance(arg, tuple) else arg

    return replace(node, name=f"{prefix}_{node.name}", args=rename(node.args))


def test_a_program_without_q_and_dq_gets_a_notice() -> None:
    b = GraphBuilder()
    report = run(b.output(b.call("aten.relu.default", b.input("x"))), TARGET, RULES)
    assert not report.findings
    assert not report.quantized
    assert "Nothing in this program is quantized" in report.notices[0]
