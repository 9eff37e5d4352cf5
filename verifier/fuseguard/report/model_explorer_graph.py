"""The graphs of a program for Google's Model Explorer, as its JSON adapter and an extension of its own take them.

Model Explorer's own adapter opens ``.pt2`` files in the ATen dialect, and loads them with torch. This is for all that
fuseguard reads: edge programs, lowered programs with what is in their delegates, control-flow bodies.

The JSON is that of ``GraphCollection`` (model-explorer 0.1.34, graph_builder.py). Nothing of Model Explorer is
imported.
"""

from __future__ import annotations

import json
from typing import Any

from fuseguard.ir.graph import Graph, Node
from fuseguard.ir.view import View
from fuseguard.report.draw.shapes import Shape, shape_of
from fuseguard.report.html_graph import domains_of, modules_of
from fuseguard.report.model_explorer import TOP
from fuseguard.report.quoting import name, quoted, quoted_tree


def render(program: Graph, label: str) -> str:
    """All graphs of a program as JSON that Model Explorer opens, ending with a newline."""
    return json.dumps(quoted_tree({"label": label, "graphs": graphs(program)}), separators=(",", ":")) + "\n"


def graphs(program: Graph) -> list[dict[str, Any]]:
    """The top level, then control-flow bodies and delegates. The top level is called as the stock adapter calls it."""
    inside = [graph for graph in program.walk() if len(graph)]
    return [_graph(graph, program) for graph in inside]


def graph_id(graph: Graph, program: Graph) -> str:
    """What a graph is called in Model Explorer."""
    return TOP if graph is program or not graph.name else name(graph.name)


def _graph(graph: Graph, program: Graph) -> dict[str, Any]:
    view = View(graph)
    modules = modules_of(graph)
    domains = domains_of(view)
    about = {"nodes": str(len(graph)), "dialect": graph.dialect}
    if graph.delegate is not None:
        about |= {"delegate": name(graph.delegate.backend), "specification": name(graph.delegate.tosa_spec)}
    return {
        "id": graph_id(graph, program),
        "nodes": [_node(view, node, modules[node.name], domains.get(node.name, -1)) for node in graph],
        "groupNodeAttributes": {"": about},
    }


def _node(view: View, node: Node, module: str, domain: int) -> dict[str, Any]:
    shape = shape_of(view, node)
    inside = [name(called) for called in node.subgraphs if called in view.graph.subgraphs]
    outputs = [f"{meta.dtype} {'x'.join('?' if size is None else str(size) for size in meta.shape)}"
               for meta in node.outputs]  # fmt: skip
    told: dict[str, Any] = {
        "id": name(node.name),
        "label": shape.name if shape.kind in ("input", "constant") else shape.label,
        "namespace": "/".join(part for part in name(module).replace("/", "_").split(".") if part),
        "attrs": [{"key": key, "value": value} for key, value in _attributes(node, shape, module, domain)],
        "incomingEdges": [
            {"sourceNodeId": name(read.name), "sourceNodeOutputId": "0", "targetNodeInputId": str(number)}
            for number, read in enumerate(view.graph.inputs(node))
        ],
        "outputsMetadata": [
            {"id": str(number), "attrs": [{"key": "shape", "value": name(text)}]} for number, text in enumerate(outputs)
        ],
    }
    if inside:
        told["subgraphIds"] = inside
    return told


def _attributes(node: Node, shape: Shape, module: str, domain: int) -> list[tuple[str, str]]:
    """What the side panel lists of a node."""
    pairs = [
        ("op", name(node.target or node.op)),
        ("value", "; ".join(shape.lines)),
        ("quantization domain", str(domain) if domain >= 0 else ""),
        ("module", name(module)),
        ("module type", name(node.module_type)),
        ("source", quoted(str(node.source)) if node.source else ""),
        ("code", quoted(node.source.code.strip()) if node.source else ""),
        ("annotated", "yes" if node.annotated else ""),
    ]
    return [(key, value) for key, value in pairs if value]
