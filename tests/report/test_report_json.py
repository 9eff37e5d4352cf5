"""The JSON report: keys that others read must stay, and every fact of a finding is there."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

import fuseguard
from fuseguard.engine import Finding
from fuseguard.gate.result import FileResult
from fuseguard.report.formats import FORMATS, OF_ONE_PROGRAM, render_document
from fuseguard.report.json import SCHEMA_VERSION, finding_dict, render, to_dict
from fuseguard_testkit.report_fakes import BARE, BUGGY, FAILURE, FINDING, UNREADABLE, finding, of, report, result

#: The contract of schema 1.1. Adding a key is a minor version; renaming or removing one is a major version.
TOP = {"schema_version", "tool", "target", "targets", "policy", "rules", "files", "summary"}
FILE = {"file", "nodes", "islands", "quantized", "findings", "suppressed", "failures", "notices"}
FINDING_KEYS = {
    "called_from", "code", "name", "severity", "effect", "effect_meaning", "case", "evidence", "evidence_note",
    "evidence_release", "message", "remedy", "nodes",
    "cluster", "graph", "source", "module", "module_type", "island", "island_key", "qparams", "details", "bound_steps",
    "bound_value", "repairable", "unsafe_repair", "refused", "caused_by", "fingerprint", "outcomes",
    "suppression",
}  # fmt: skip
SUMMARY = {
    "errors", "warnings", "notes", "nodes", "islands", "files", "files_unreadable", "files_failed", "rule_failures",
    "statistics", "exit_code", "suppressed", "fixme", "baseline",
}  # fmt: skip
TARGET_KEYS = {"name", "spec", "profile", "extensions", "accelerator", "executorch", "executorch_measured"}


def document(*files: FileResult) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(render(result(*files)))
    return parsed


def test_the_keys_of_schema_1_1_are_there() -> None:
    told = document(FileResult("m.pt2", report(FINDING, BARE, failures=(FAILURE,))), UNREADABLE)
    assert told["schema_version"] == SCHEMA_VERSION == "1.1"
    assert told["tool"] == {"name": "fuseguard", "version": fuseguard.__version__}
    assert told.keys() == TOP
    assert told["target"].keys() == TARGET_KEYS
    assert told["summary"].keys() == SUMMARY
    assert told["files"][0].keys() == FILE
    assert told["files"][1].keys() == FILE | {"error"}
    for item in told["files"][0]["findings"]:
        assert item.keys() == FINDING_KEYS
    assert told["files"][0]["failures"] == [{"code": "FU102", "graph": "true_graph_0", "error": "KeyError: 'x'"}]


def test_no_field_of_a_finding_is_forgotten() -> None:
    """A field added to Finding must be written, or be left out on purpose: file and target are told once.

    The stack is for finding the source line in a checkout; what came of that is in ``source``. Of a rewrite a report
    says whether there is one (``repairable``, ``unsafe_repair``).
    """
    elsewhere = {"file", "target", "stack", "rewrite"}
    renamed = {"refuse": "refused"}
    for field in dataclasses.fields(Finding):
        if field.name not in elsewhere:
            assert renamed.get(field.name, field.name) in FINDING_KEYS, field.name


def test_values_survive() -> None:
    told = finding_dict(FINDING)
    assert told["source"] == {"file": "model.py", "line": 7, "function": "forward", "code": "    y = relu(conv(x))"}
    assert told["qparams"][1] == {"label": "output (owned by relu)", "value": "scale 0.25"}
    assert (told["bound_steps"], told["bound_value"], told["refused"]) == (111, 5.55, True)
    assert finding_dict(BARE)["source"] is None
    assert finding_dict(BARE)["caused_by"] is None


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_the_text_is_json_whatever_the_numbers(value: float) -> None:
    told = json.loads(render(of(finding(bound_steps=value))), parse_constant=lambda name: pytest.fail(name))
    assert told["files"][0]["findings"][0]["bound_steps"] == str(value)


def test_the_text_is_ascii_whatever_the_names() -> None:
    text = render(of(finding(message="\x1b \u202e \ud800 ö")))
    assert text.isascii()
    assert json.loads(text)["files"][0]["findings"][0]["message"] == r"\x1b \u202e \ud800 ö"
    assert "\x1b" not in text


def test_counts_and_errors() -> None:
    told = document(FileResult("m.pt2", report(FINDING, BARE)), UNREADABLE, BUGGY)
    assert told["summary"] == {
        "errors": 1, "warnings": 1, "notes": 0, "nodes": 13, "islands": 2, "files": 3, "files_unreadable": 1,
        "files_failed": 1, "rule_failures": 0, "exit_code": 0, "suppressed": 0, "fixme": 0, "baseline": 0,
        "statistics": [
            {"code": "FU101", "name": "fused-activation-out-of-range", "findings": 1, "repairable": 1},
            {"code": "QP301", "name": "odd", "findings": 1, "repairable": 0},
        ],
    }  # fmt: skip
    assert told["files"][1]["error"] == {"kind": "unreadable", "message": "bad.pt2: is empty; save it again"}
    assert told["files"][1]["quantized"] is None


def test_the_same_result_gives_the_same_text() -> None:
    assert render(of(FINDING, BARE)) == render(of(FINDING, BARE))


def test_every_document_format_renders() -> None:
    for name in FORMATS:
        files = (FileResult("m.pt2", report(FINDING)), *([] if name in OF_ONE_PROGRAM else [UNREADABLE]))
        assert render_document(name, result(*files)).endswith("\n")
    assert json.loads(render_document("json", of(BARE))) == to_dict(of(BARE))
