"""The overlay for Model Explorer: what its data type takes, and keys that are nodes of the program.

Protects: an overlay that Model Explorer takes without a word and shows nothing of, as it does with unknown nodes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from fuseguard.engine import Severity, run
from fuseguard.engine.registry import load_registry
from fuseguard.gate.result import CheckResult, FileResult
from fuseguard.readers.pt2 import read_pt2
from fuseguard.report.formats import render_document
from fuseguard.report.options import Options
from fuseguard.target import Target
from fuseguard_testkit.paths import DATA
from fuseguard_testkit.report_fakes import BUGGY, FAILURE, UNREADABLE, finding, of, report, result

REGISTRY = load_registry()
TARGET = Target.parse("TOSA-1.0+INT+FP", "1.5.1")

#: ``NodeDataProviderGraphData`` and what it consists of, by model-explorer 0.1.34's types.ts.
SCHEMA = {
    "$defs": {
        "result": {
            "type": "object",
            "required": ["value"],
            "properties": {"value": {}, "bgColor": {"type": "string"}, "textColor": {"type": "string"}},
            "additionalProperties": False,
        },
        "graph": {
            "type": "object",
            "required": ["results"],
            "properties": {
                "name": {"type": "string"},
                "results": {"type": "object", "additionalProperties": {"$ref": "#/$defs/result"}},
                "showExpandedSummaryOnGroupNode": {"type": "boolean"},
            },
            "additionalProperties": False,
        },
    },
    "type": "object",
    "additionalProperties": {"$ref": "#/$defs/graph"},
}


def overlay(check: CheckResult, **options: Any) -> dict[str, Any]:
    """The data of the one graph, valid by the schema."""
    document = json.loads(render_document("model-explorer", check, Options(Path(), **options)))
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    assert list(document) == ["graph"], "as the stock adapter calls the graph of a .pt2 file"
    graph: dict[str, Any] = document["graph"]
    return graph


def test_the_keys_are_the_nodes_of_the_file() -> None:
    graph = read_pt2(DATA / "conv_cat.pt2")
    found = run(graph, TARGET, REGISTRY.rules, file="conv_cat.pt2")
    told = overlay(result(FileResult("conv_cat.pt2", found)))
    assert told["results"].keys() <= {node.name for node in graph}
    assert told["results"]["relu"] == {"value": "error: FU101", "bgColor": "#d93025"}
    assert told["results"]["dequantize_per_tensor"]["value"] == "cluster of FU101"
    assert set(told["results"]) == set(found.findings[0].cluster)
    assert told["name"].startswith("fuseguard: 1 error")


@pytest.mark.parametrize("rule", REGISTRY.rules, ids=lambda rule: rule.code)
def test_every_rules_findings_are_shown(rule: Any) -> None:
    graph = rule.bad[0].graph()
    target = Target.parse(rule.bad[0].spec("TOSA-1.0+INT+FP"), "1.5.1")
    found = run(graph, target, (rule,), file="m.pt2")
    warnings: list[str] = []
    told = overlay(result(FileResult("m.pt2", found)), warn=warnings.append)
    top = [finding for finding in found.findings if not finding.graph]
    assert {name for finding in top for name in (*finding.nodes, *finding.cluster)} == set(told["results"])
    assert bool(warnings) == (len(top) < len(found.findings))


def test_of_several_findings_at_a_node_the_worst_has_the_colour() -> None:
    note, error = (
        finding(code=code, severity=severity, nodes=("relu",), cluster=("conv", "relu"))
        for code, severity in (("QD205", Severity.NOTE), ("FU101", Severity.ERROR))
    )
    told = overlay(of(note, error))["results"]
    assert told["relu"] == {"value": "error: FU101, QD205", "bgColor": "#d93025"}
    assert told["conv"]["value"] == "cluster of FU101, QD205"


def test_what_was_not_checked_is_no_clean_program() -> None:
    for broken in (UNREADABLE, BUGGY):
        assert overlay(result(broken))["name"] == "fuseguard: the program could not be checked"
    assert "1 rule failure" in overlay(result(FileResult("m.pt2", report(failures=(FAILURE,)))))["name"]
    assert overlay(of())["name"].startswith("fuseguard: nothing found (")


def test_findings_in_control_flow_bodies_are_counted_and_left_out() -> None:
    warnings: list[str] = []
    told = overlay(of(finding(graph="true_graph_0")), warn=warnings.append)
    assert told["results"] == {}
    assert warnings[0].startswith("1 finding in control-flow bodies left out")


def test_several_programs_are_refused() -> None:
    with pytest.raises(ValueError, match="one program"):
        overlay(result(FileResult("a.pt2", report()), FileResult("b.pt2", report())))
