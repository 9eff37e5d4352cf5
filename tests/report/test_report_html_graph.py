"""The graphs of a program as data for the page: marks, domains, modules, and what is on the CPU.

Protects: a picture of the whole graph that marks the wrong node, and a page that grows with the square of a program.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

import fuseguard
from fuseguard.engine.finding import Effect
from fuseguard.engine.registry import Registry
from fuseguard.engine.run import run
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.delegate import Delegate
from fuseguard.ir.graph import Graph, Node, Ref, TensorMeta
from fuseguard.report import html_graph
from fuseguard.report.html_graph import CPU, DELEGATED, REFUSED, STORED, Graphs
from fuseguard.target import Target
from fuseguard_testkit.report_fakes import finding
from fuseguard_testkit.report_programs import islands

FLOAT = TensorMeta("float32", (1, 4))


def told(program: Graph, *findings: fuseguard.Finding) -> Any:
    graphs = Graphs()
    graphs.add(0, program, enumerate(findings))
    data = graphs.to_dict()
    assert json.loads(json.dumps(data)) == json.loads(json.dumps(data)), "JSON-ready"
    return data


def flags(graph: Any) -> dict[str, int]:
    return {node[0]: node[6] for node in graph["nodes"]}


def test_every_node_is_there_with_what_it_reads() -> None:
    program = islands(2, 1)
    (graph,) = told(program)["graphs"]
    names = [node[0] for node in graph["nodes"]]
    assert names == [node.name for node in program]
    for node in graph["nodes"]:
        assert [names[read] for read in node[3]] == [read.name for read in program.inputs(program[node[0]])]


def test_findings_are_marked_at_their_nodes_and_the_whole_cluster_is_refused() -> None:
    report = fuseguard.check(islands(3, 2), "TOSA-1.0+INT", "1.5.1")
    assert report.graph is not None
    (graph,) = told(report.graph, *report.findings)["graphs"]
    marks = {graph["nodes"][node][0]: numbers for node, *numbers in graph["marks"]}
    assert marks == {"conv2d": [0], "relu": [0], "conv2d_1": [1], "relu_1": [1]}
    refused = {name for name, flag in flags(graph).items() if flag & REFUSED}
    assert refused == set(report.findings[0].cluster) | set(report.findings[1].cluster)


def test_a_placement_marks_what_is_on_the_cpu_with_its_reasons_and_all_else_as_delegated() -> None:
    graphs = Graphs()
    graphs.add(0, islands(2, 1), [], {("", "relu"): "RankCheck: rank 7", ("", "gone"): "x", ("body", "conv2d"): "y"})
    (graph,) = graphs.to_dict()["graphs"]
    marked = flags(graph)
    assert marked["relu"] & CPU
    assert not marked["relu"] & DELEGATED
    assert marked["conv2d"] & (CPU | DELEGATED) == DELEGATED
    assert not marked.get("quantize_per_tensor", 0) & (CPU | DELEGATED), "at the edge, it may be on either side"
    assert [[graph["nodes"][node][0], text] for node, text in graph["reasons"]] == [["relu", "RankCheck: rank 7"]]


def test_weights_and_biases_can_be_left_out_of_the_picture() -> None:
    (graph,) = told(islands(1, 0))["graphs"]
    stored = {name for name, flag in flags(graph).items() if flag & STORED}
    assert stored == {"weight", "bias", "dequantize_per_tensor_1", "dequantize_per_tensor_2"}


def test_nodes_of_one_domain_have_one_number_and_constants_have_none() -> None:
    (graph,) = told(islands(1, 0))["graphs"]
    domains = {node[0]: node[4] for node in graph["nodes"]}
    assert domains["x"] == domains["quantize_per_tensor"] == domains["dequantize_per_tensor"] == 0
    assert domains["quantize_per_tensor_1"] == domains["dequantize_per_tensor_3"] == 1
    assert domains["quantize_per_tensor_2"] == 2
    assert domains["weight"] == domains["dequantize_per_tensor_1"] == -1


def test_a_quantize_op_is_in_the_module_that_made_its_value_and_a_dequantize_op_in_the_one_that_reads_it() -> None:
    (graph,) = told(islands(2, 0))["graphs"]
    module = {node[0]: graph["modules"][node[2]] for node in graph["nodes"]}
    assert module["quantize_per_tensor_1"] == module["weight"] == "features.0.conv0"
    assert module["dequantize_per_tensor"] == "features.0.conv0"
    assert module["quantize_per_tensor_2"] == "features.0.conv0"
    assert module["dequantize_per_tensor_4"] == "features.0.conv1"


def test_an_op_that_a_finding_says_falls_back_is_on_the_cpu() -> None:
    report = fuseguard.check(islands(1, 0), "TOSA-1.0+INT", "1.5.1")
    assert report.graph is not None
    item = finding(nodes=("relu",), cluster=("relu",), effect=Effect.CPU_FALLBACK, refuse=False)
    (graph,) = told(report.graph, item)["graphs"]
    assert [name for name, flag in flags(graph).items() if flag & CPU] == ["relu"]


def lowered() -> Graph:
    """A delegate with one convolution, and a relu that was left on the CPU."""
    b = GraphBuilder("edge")
    weight = b.quantized_constant("weight", (4, 4, 3, 3))
    inside = b.output(b.call("aten.convolution.default", b.quantized_input("x", (1, 4, 8, 8), int8(0.1)), weight))
    body = Graph(list(inside), dialect="edge", name="lowered_module_0", delegate=Delegate("TOSABackend"))
    nodes = [
        Node("x", "placeholder", outputs=(FLOAT,)),
        Node(
            "executorch_call_delegate", "call", "executorch_call_delegate", (Ref("x"),),
            subgraphs=("lowered_module_0",), outputs=(FLOAT,), index=1,
        ),
        Node("getitem", "call", "_operator.getitem", (Ref("executorch_call_delegate"), 0), outputs=(FLOAT,), index=2),
        Node("relu", "call", "aten.relu.default", (Ref("getitem"),), outputs=(FLOAT,), index=3),
        Node("output", "output", args=((Ref("relu"),),), index=4),
    ]  # fmt: skip
    return Graph(nodes, dialect="edge", subgraphs={"lowered_module_0": body})


def test_in_a_lowered_program_delegates_lead_to_what_is_in_them_and_the_rest_is_on_the_cpu() -> None:
    top, body = told(lowered())["graphs"]
    assert flags(top) == {"x": 0, "executorch_call_delegate": DELEGATED, "getitem": 0, "relu": CPU, "output": 0}
    assert top["bodies"] == [[1, 1]]
    assert (body["name"], body["delegate"]) == ("lowered_module_0", "TOSABackend")
    assert flags(body)["convolution"] & DELEGATED


@pytest.mark.parametrize("code", ["FU101", "QD201", "QP301"])
def test_marks_of_a_rule_are_its_findings_nodes(registry: Registry, code: str) -> None:
    rule = next(rule for rule in registry.rules if rule.code == code)
    program = rule.bad[0].graph()
    found = run(program, Target.parse(rule.bad[0].spec("TOSA-1.0+INT+FP"), "1.5.1"), (rule,)).findings
    graphs = told(program, *found)["graphs"]
    marked = {graph["nodes"][node][0] for graph in graphs for node, *_ in graph["marks"]}
    assert marked == {name for item in found for name in item.nodes}


def test_a_page_has_so_many_nodes_and_says_how_many_it_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    program = islands(2, 0)
    monkeypatch.setattr(html_graph, "MAX_NODES", len(program) + 1)
    graphs = Graphs()
    graphs.add(0, program, ())
    graphs.add(1, program, ())
    data = graphs.to_dict()
    assert [graph["file"] for graph in data["graphs"]] == [0]
    assert data["left_out"] == len(program)


def test_the_data_grow_with_the_program_and_not_faster() -> None:
    sizes = [len(json.dumps(told(islands(number, 0)))) for number in (50, 100)]
    assert sizes[1] < 2.2 * sizes[0]


def test_a_program_without_findings_has_its_graph() -> None:
    report = fuseguard.check(islands(1, 0), "TOSA-1.0+INT", "1.5.1")
    text = fuseguard.render(report, "html")
    assert '"whole":{"graphs":[{"file":0' in text
