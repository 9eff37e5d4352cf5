"""Graphs for Model Explorer, and the extension that offers them in its menu.

Protects: graphs that Model Explorer draws without edges or without a word refuses, and an extension that it cannot
load. The extension is tried with Model Explorer's classes where it is installed, and with stand-ins otherwise.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, field, make_dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import fuseguard
from fuseguard.ir.builder import GraphBuilder
from fuseguard.ir.graph import Graph
from fuseguard.readers.open import read_file
from fuseguard.report import model_explorer_graph
from fuseguard_testkit.paths import DATA
from fuseguard_testkit.report_programs import islands

FILES = ("conv_cat.pt2", "conv_cat_edge.exir", "conv_cat_guarded.exir", "cond.pt2", "several.pt2", "lowered.etrecord")


def told(program: Graph) -> list[dict[str, Any]]:
    """The graphs, as Model Explorer reads them from a file."""
    document = json.loads(model_explorer_graph.render(program, "m.pt2"))
    assert document["label"] == "m.pt2", "with label and graphs, Model Explorer takes it for a collection"
    graphs: list[dict[str, Any]] = document["graphs"]
    return graphs


@pytest.mark.parametrize("file", FILES)
def test_every_edge_ends_at_nodes_and_every_subgraph_is_there(file: str) -> None:
    program = read_file(DATA / file)
    graphs = told(program)
    ids = [graph["id"] for graph in graphs]
    assert len(set(ids)) == len(ids) == sum(1 for graph in program.walk() if len(graph))
    for graph in graphs:
        names = {node["id"] for node in graph["nodes"]}
        assert len(names) == len(graph["nodes"])
        assert {edge["sourceNodeId"] for node in graph["nodes"] for edge in node["incomingEdges"]} <= names
        assert {called for node in graph["nodes"] for called in node.get("subgraphIds", ())} <= set(ids)


def test_the_top_level_is_called_as_in_the_overlay_and_delegates_lead_to_their_graphs() -> None:
    top, body = told(read_file(DATA / "conv_cat_guarded.exir"))
    assert top["id"] == "graph"
    (call,) = [node for node in top["nodes"] if "subgraphIds" in node]
    assert call["subgraphIds"] == [body["id"]] == ["lowered_module_0"]
    assert body["groupNodeAttributes"][""]["delegate"] == "TOSABackend"


def test_an_edge_program_has_the_nodes_of_its_overlay() -> None:
    file = DATA / "conv_cat_edge.exir"
    overlay = json.loads(fuseguard.render(fuseguard.check(file, executorch="1.5.1"), "model-explorer"))
    (graph,) = told(read_file(file))
    assert overlay["graph"]["results"]
    assert set(overlay["graph"]["results"]) <= {node["id"] for node in graph["nodes"]}


def test_a_node_has_its_module_shape_qparams_and_domain() -> None:
    nodes = {node["id"]: node for node in told(islands(1, 0))[0]["nodes"]}
    assert nodes["conv2d"]["namespace"] == "features/0/conv0"
    assert nodes["x"]["label"] == "x"
    q = {pair["key"]: pair["value"] for pair in nodes["quantize_per_tensor"]["attrs"]}
    assert q["value"] == "scale 0.05, zp 3; int8 [-128, 127]"
    assert q["quantization domain"] == "0"
    assert nodes["conv2d"]["outputsMetadata"] == [{"id": "0", "attrs": [{"key": "shape", "value": "float32 1x4x8x8"}]}]


def test_a_slash_in_a_module_makes_no_layer() -> None:
    b = GraphBuilder()
    program = b.output(b.call("aten.relu.default", b.input(), module="a/b.c"))
    (graph,) = told(program)
    assert [node["namespace"] for node in graph["nodes"] if node["id"] == "relu"] == ["a_b/c"]


# --- the extension ---------------------------------------------------------------------------------------------


def stand_in() -> ModuleType:
    """As much of model_explorer 0.1.34 as the extension uses: the same names, fields and defaults."""
    module: Any = ModuleType("model_explorer")
    module.Adapter = module.NodeDataProvider = object
    metadata = [("id", str, ""), ("name", str, ""), ("description", str, ""), ("source_repo", str, "")]
    extensions = ("fileExts", list, field(default_factory=list))
    module.AdapterMetadata = make_dataclass("AdapterMetadata", [*metadata, extensions])
    module.NodeDataProviderMetadata = make_dataclass("ProviderMetadata", [*metadata, ("icon", str, "extension")])
    module.GetConfigEditorsResult = make_dataclass("GetConfigEditorsResult", [("configEditors", Any, None)])
    module.NodeDataProviderResult = make_dataclass("ProviderResult", [("result", Any, None), ("error", str, "")])
    editor = [("id", str, ""), ("label", str, ""), ("description", str, ""), ("defaultValue", Any, None)]
    module.config_editor = SimpleNamespace(
        TextInputConfigEditor=make_dataclass("TextInputConfigEditor", editor),
        DropDownConfigEditor=make_dataclass("DropDown", [*editor, ("options", list, field(default_factory=list))]),
        OptionItem=make_dataclass("OptionItem", [("value", str, ""), ("label", str, "")]),
    )
    lists = [(name, list, field(default_factory=list)) for name in
             ("subgraphIds", "attrs", "incomingEdges", "outputsMetadata")]  # fmt: skip
    module.graph_builder = SimpleNamespace(
        Graph=make_dataclass("Graph", ["id", "nodes", ("groupNodeAttributes", Any, None)]),
        GraphNode=make_dataclass("GraphNode", ["id", "label", ("namespace", str, ""), *lists]),
        KeyValue=make_dataclass("KeyValue", ["key", "value"]),
        IncomingEdge=make_dataclass("IncomingEdge", ["sourceNodeId", "sourceNodeOutputId", "targetNodeInputId"]),
        MetadataItem=make_dataclass("MetadataItem", ["id", "attrs"]),
    )
    options = [("name", Any, None), ("hideInAggregatedStatsTable", bool, False),
               ("showExpandedSummaryOnGroupNode", bool, False),
               ("showLabelCountColumnsInChildrenStatsTable", bool, False)]  # fmt: skip
    module.node_data_builder = SimpleNamespace(
        NodeDataResult=make_dataclass("NodeDataResult", ["value", ("bgColor", Any, None), ("textColor", Any, None)]),
        GraphNodeData=make_dataclass("GraphNodeData", ["results", *options]),
    )
    return module


@pytest.fixture
def extension(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module that Model Explorer imports: ``main`` of the name that it is given."""
    name = "fuseguard.model_explorer.main"
    if importlib.util.find_spec("model_explorer") is not None:
        yield importlib.import_module(name)  # it registers the classes, which it does once
        return
    monkeypatch.setitem(sys.modules, "model_explorer", stand_in())
    yield importlib.import_module(name)
    sys.modules.pop(name, None)


def test_the_adapter_opens_what_fuseguard_reads(extension: Any) -> None:
    path = DATA / "conv_cat_guarded.exir"
    graphs = [asdict(graph) for graph in extension.FuseguardAdapter().convert(str(path), {})["graphs"]]
    expected = told(read_file(path))
    assert [graph["id"] for graph in graphs] == [graph["id"] for graph in expected]
    for graph, other in zip(graphs, expected, strict=True):
        for node, same in zip(graph["nodes"], other["nodes"], strict=True):
            assert {key: node[key] for key in same} == same
    assert "pt2" in extension.FuseguardAdapter.metadata.fileExts


def test_the_provider_yields_the_overlay(extension: Any) -> None:
    path = DATA / "conv_cat.pt2"
    editors = extension.FuseguardFindings().get_config_editors("fuseguard_check").configEditors
    values = {editor.id: editor.defaultValue for editor in editors} | {"executorch": "1.5.1"}
    shown = extension.FuseguardFindings().run("fuseguard_check", str(path), "graph", values, None)
    overlay = json.loads(fuseguard.render(fuseguard.check(path, executorch="1.5.1"), "model-explorer"))["graph"]
    found = asdict(shown.result)
    assert {key: found[key] for key in overlay} == overlay
    assert shown.error == ""
    elsewhere = extension.FuseguardFindings().run("fuseguard_check", str(path), "true_graph_0", values, None)
    assert elsewhere.result.results == {}


@pytest.mark.parametrize(("file", "values"), [("nowhere.pt2", {}), ("conv_cat.pt2", {"target": "x"})])
def test_what_cannot_be_checked_is_told(extension: Any, file: str, values: dict[str, str]) -> None:
    shown = extension.FuseguardFindings().run("fuseguard_check", str(DATA / file), "graph", values, None)
    assert shown.result is None
    assert "target" in shown.error or "nowhere.pt2" in shown.error


def test_nothing_else_of_fuseguard_imports_model_explorer() -> None:
    root = Path(fuseguard.__file__).parent
    using = [path for path in root.rglob("*.py") if "from model_explorer" in path.read_text(encoding="utf-8")]
    assert using == [root / "model_explorer" / "main.py"]
