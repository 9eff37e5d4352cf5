"""The overlay for Model Explorer: what its data type takes, and keys that are nodes of the program.

Protects: an overlay that Model Explorer takes without a word and shows nothing of, as it does with unknown nodes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from fuseguard.engine import Effect, Severity, run
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
                "hideInAggregatedStatsTable": {"type": "boolean"},
                "showLabelCountColumnsInChildrenStatsTable": {"type": "boolean"},
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
    assert told["results"]["relu"] == {"value": "error, wrong: FU101", "bgColor": "#c5221f", "textColor": "#ffffff"}
    assert told["results"]["dequantize_per_tensor"]["value"] == "refused with FU101"
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
    assert told["relu"] == {"value": "error, wrong: FU101, QD205", "bgColor": "#c5221f", "textColor": "#ffffff"}
    assert told["conv"]["value"] == "refused with FU101, QD205"


def test_a_cluster_that_is_not_refused_is_not_said_to_be() -> None:
    item = finding(severity=Severity.NOTE, effect=Effect.CPU_FALLBACK, refuse=False)
    told = overlay(of(item))["results"]
    assert told["relu"]["value"] == "note, cpu fallback: FU101"
    assert told["dequantize"]["value"] == "cluster of FU101"


def test_words_have_no_minimum_and_no_sum() -> None:
    """Else Model Explorer shows an empty table of them."""
    told = overlay(of(finding()))
    assert told["hideInAggregatedStatsTable"]
    assert told["showLabelCountColumnsInChildrenStatsTable"]


@pytest.mark.parametrize("severity", Severity)
def test_labels_can_be_read_on_their_background(severity: Severity) -> None:
    told = overlay(of(finding(severity=severity)))["results"]
    for node in ("relu", "dequantize"):
        assert contrast(told[node]["bgColor"], told[node]["textColor"]) >= 4.5


def contrast(one: str, other: str) -> float:
    """WCAG 2.1's contrast ratio."""
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


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
