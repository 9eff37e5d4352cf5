"""What Model Explorer loads of the extension: an adapter that opens programs, and a provider of findings.

``model-explorer --extensions=fuseguard.model_explorer`` imports this module, as it does the ``main`` of every extension
(model-explorer 0.1.34, extension_manager.py), and registers the classes in it. Neither runs anything in a file, and
neither needs torch. An exception becomes a message in the browser.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from model_explorer import (
    Adapter,
    AdapterMetadata,
    GetConfigEditorsResult,
    NodeDataProvider,
    NodeDataProviderMetadata,
    NodeDataProviderResult,
    config_editor,
    graph_builder,
    node_data_builder,
)

from fuseguard.api import check
from fuseguard.engine.run import POLICIES
from fuseguard.gate.result import of_report
from fuseguard.readers.errors import UnreadableInput
from fuseguard.readers.open import read_file
from fuseguard.report import model_explorer, model_explorer_graph
from fuseguard.target import Target

_TARGET = "TOSA-1.0+INT+FP"


class FuseguardAdapter(Adapter):  # type: ignore[misc]  # model_explorer has no types
    """Opens what fuseguard reads: ``.pt2`` files of either dialect, lowered programs and ETRecords."""

    metadata = AdapterMetadata(
        id="fuseguard",
        name="fuseguard (runs nothing in the file)",
        description="Opens quantized programs in the ATen and edge dialects, lowered programs and ETRecords, with "
        "qparams and quantization domains. Reads the file without torch.",
        fileExts=["pt2", "exir", "etrecord", "bin"],
    )

    def convert(self, model_path: str, settings: dict[str, Any]) -> dict[str, Any]:
        """The graphs of a file. Raises UnreadableInput."""
        del settings
        return {"graphs": [_built(told) for told in model_explorer_graph.graphs(read_file(Path(model_path)))]}


class FuseguardFindings(NodeDataProvider):  # type: ignore[misc]
    """Checks a program and colours the nodes of its findings, for any adapter that has the names of FX nodes."""

    metadata = NodeDataProviderMetadata(
        id="fuseguard_check",
        name="fuseguard check",
        description="Colours the nodes that lowering gets wrong, and what has to be refused together with them.",
        icon="rule",
    )

    def get_config_editors(self, provider_id: str) -> Any:
        """The settings of a check: target, release and policy."""
        del provider_id
        policies = [config_editor.OptionItem(value=policy, label=policy) for policy in POLICIES]
        release = str(Target.parse(_TARGET).release)
        return GetConfigEditorsResult(
            configEditors=[
                config_editor.TextInputConfigEditor(
                    id="target", label="Target", defaultValue=_TARGET,
                    description="A TOSA specification or an accelerator, as for 'fuseguard check --target'.",
                ),
                config_editor.TextInputConfigEditor(
                    id="executorch", label="ExecuTorch release", defaultValue=release,
                ),
                config_editor.DropDownConfigEditor(
                    id="policy", label="Policy", defaultValue="consistent", options=policies
                ),
            ]
        )  # fmt: skip

    def run(self, provider_id: str, model_path: str, graph_id: str, config_values: dict[str, Any], graph: Any) -> Any:
        """The findings in one graph of the program. What is wrong with the file or the settings is the error."""
        del provider_id, graph
        given = {key: value for key in ("target", "executorch", "policy") if (value := config_values.get(key))}
        try:
            report = check(model_path, **given)
        except (UnreadableInput, ValueError) as error:
            return NodeDataProviderResult(error=str(error))
        inside = "" if graph_id == model_explorer.TOP else graph_id
        found = [finding for finding in report.findings if finding.graph == inside]
        told = model_explorer.node_data(model_explorer.overlay_name(of_report(report)), found)
        results = {node: node_data_builder.NodeDataResult(**result) for node, result in told.pop("results").items()}
        return NodeDataProviderResult(result=node_data_builder.GraphNodeData(results=results, **told))


def _built(told: dict[str, Any]) -> Any:
    """A graph of Model Explorer's own classes."""
    return graph_builder.Graph(
        id=told["id"],
        nodes=[_node(node) for node in told["nodes"]],
        groupNodeAttributes=told["groupNodeAttributes"],
    )


def _node(told: dict[str, Any]) -> Any:
    node = graph_builder.GraphNode(id=told["id"], label=told["label"], namespace=told["namespace"])
    return dataclasses.replace(
        node,
        subgraphIds=told.get("subgraphIds", []),
        attrs=[graph_builder.KeyValue(**pair) for pair in told["attrs"]],
        incomingEdges=[graph_builder.IncomingEdge(**edge) for edge in told["incomingEdges"]],
        outputsMetadata=[
            graph_builder.MetadataItem(item["id"], [graph_builder.KeyValue(**pair) for pair in item["attrs"]])
            for item in told["outputsMetadata"]
        ],
    )
