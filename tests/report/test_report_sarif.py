"""SARIF: valid by the official schema, with all that GitHub requires, and readable by somebody else's program."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sarif import loader

from fuseguard.engine import Finding, run
from fuseguard.engine.finding import Suppression, SuppressionKind
from fuseguard.engine.housekeeping import UNUSED_SUPPRESSION
from fuseguard.engine.registry import load_registry
from fuseguard.engine.row_evidence import evidence_of
from fuseguard.gate.result import CheckResult, FileError, FileResult
from fuseguard.ir.graph import SourceLine
from fuseguard.report import sarif
from fuseguard.report.formats import render_document
from fuseguard.report.options import Options
from fuseguard_testkit.paths import ROOT
from fuseguard_testkit.report_fakes import BARE, BUGGY, FAILURE, FINDING, UNREADABLE, finding, of, report, result

SCHEMA = json.loads((ROOT / "tests/data/sarif-2.1.0-rtm.5.json").read_text())
REGISTRY = load_registry()
RULES = {rule.code: rule for rule in REGISTRY.rules}
ALL = result(
    FileResult("m.pt2", report(FINDING, BARE, failures=(FAILURE,), notices=("Look [here].",))), UNREADABLE, BUGGY
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "model.py").write_text("\n" * 6 + "    y = relu(conv(x))\n")
    return tmp_path


def log_of(check: CheckResult, root: Path = Path("/nonexistent"), **options: Any) -> dict[str, Any]:
    """The log as it is written and read back, valid by the schema."""
    log: dict[str, Any] = json.loads(sarif.render(check, Options(root, RULES, **options)))
    jsonschema.Draft4Validator(SCHEMA).validate(log)
    return log


def run_of(check: CheckResult, root: Path = Path("/nonexistent")) -> dict[str, Any]:
    [only] = log_of(check, root)["runs"]
    assert isinstance(only, dict)
    return only


def test_the_schema_is_the_one_that_we_say_and_refuses_what_is_wrong() -> None:
    """A validator that accepts everything would make the tests below worthless."""
    log = log_of(ALL)
    assert log["$schema"] == sarif.SCHEMA
    for break_it in (
        lambda run: run["results"][0].update(level="fatal"),
        lambda run: run["results"][0]["locations"][0]["physicalLocation"]["region"].update(startLine=0),
        lambda run: run["tool"]["driver"].pop("name"),
        lambda run: run.update(surprise=1),
    ):
        broken = json.loads(json.dumps(log))
        break_it(broken["runs"][0])
        assert not jsonschema.Draft4Validator(SCHEMA).is_valid(broken)


def test_every_installed_rules_findings_are_valid() -> None:
    files = []
    for release in ("1.2.0", "1.4.1", "1.5.1"):
        for rule in REGISTRY.rules:
            for number, example in enumerate(rule.bad):
                target = rule.example_target(example.spec("TOSA-1.0+INT+FP"), release)
                name = f"{rule.code}-{release}-{number}.pt2"
                files.append(FileResult(name, run(example.graph(), target, REGISTRY.rules, file=name)))
    told = run_of(replace(result(*files), rules=tuple(RULES)))
    assert {item["ruleId"] for item in told["results"]} == set(RULES)
    hashes = [item["partialFingerprints"]["primaryLocationLineHash"] for item in told["results"]]
    assert len(set(hashes)) == len(hashes), "GitHub takes results that share a hash for one"


def test_what_github_requires_is_there_and_not_empty(root: Path) -> None:
    told = run_of(ALL, root)
    for rule in told["tool"]["driver"]["rules"]:
        for path in (("id",), ("shortDescription", "text"), ("fullDescription", "text"), ("help", "text")):
            value: Any = rule
            for key in path:
                value = value[key]
            assert value.strip(), (rule["id"], path)
        assert len(rule["shortDescription"]["text"]) <= 1024
        assert len(rule["fullDescription"]["text"]) <= 1024
        assert len(rule["properties"]["tags"]) <= 20
    assert len(told["results"]) == 2
    for item in told["results"]:
        assert item["message"]["text"]
        assert item["partialFingerprints"]["primaryLocationLineHash"]
        assert told["tool"]["driver"]["rules"][item["ruleIndex"]]["id"] == item["ruleId"]
        [location] = item["locations"]
        assert location["physicalLocation"]["artifactLocation"]["uri"]
        assert location["physicalLocation"]["region"].keys() >= {"startLine", "startColumn", "endLine", "endColumn"}
    assert "automationDetails" not in told, "it would win over the category that the upload is given"


def test_the_location_is_the_users_line_and_the_program_is_linked(root: Path) -> None:
    [item] = run_of(of(finding(file="out/my model.pt2")), root)["results"]
    physical = item["locations"][0]["physicalLocation"]
    assert physical["artifactLocation"] == {"uri": "model.py", "uriBaseId": "SRCROOT"}
    assert physical["region"] == {"startLine": 7, "startColumn": 5, "endLine": 7, "endColumn": 22}
    [related] = item["relatedLocations"]
    assert related["physicalLocation"]["artifactLocation"]["uri"] == "my%20model.pt2"
    assert f"[my model.pt2]({related['id']})" in item["message"]["text"]


def test_without_a_line_the_location_is_the_program() -> None:
    [item] = run_of(of(BARE))["results"]
    physical = item["locations"][0]["physicalLocation"]
    assert physical["artifactLocation"]["uri"] == "m.pt2"
    assert physical["region"] == {"startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 1}
    assert item["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] == "n"


@pytest.mark.parametrize("name", ["sarif", "gitlab"])
def test_no_path_of_this_machine_is_told(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    good, bad = f"{tmp_path}/out/m.pt2", f"{tmp_path}/out/bad.pt2"
    check = result(
        FileResult(good, report(finding(file=good), failures=(FAILURE,), file=good)),
        FileResult(bad, error=FileError("unreadable", f"{bad}: is empty")),
    )
    assert str(tmp_path) not in render_document(name, check, Options(tmp_path / "src", RULES))


def test_fingerprints_outlive_the_order_of_findings_and_the_directory_of_the_program() -> None:
    one, two = finding(fingerprint="fg1:1", file="a/m.pt2"), finding(fingerprint="fg1:2", file="a/m.pt2")

    def hashes(*findings: Finding) -> list[str]:
        return [item["partialFingerprints"]["primaryLocationLineHash"] for item in run_of(of(*findings))["results"]]

    first = hashes(one, two)
    assert hashes(two, one) == first[::-1]
    assert hashes(replace(one, file="/b/m.pt2"), two) == first
    assert hashes(replace(one, file="a/other.pt2"), two) != first, "another program's finding is another alert"
    assert len(set(hashes(one, one))) == 2
    assert run_of(of(one))["results"][0]["fingerprints"] == {"fuseguard": "fg1:1"}


def test_errors_and_failed_rules_are_notifications_and_not_silence() -> None:
    [invocation] = run_of(ALL)["invocations"]
    assert invocation["executionSuccessful"] is False
    told = [(item["level"], item["message"]["text"]) for item in invocation["toolExecutionNotifications"]]
    assert ("error", "unreadable: is empty; save it again") in told
    assert ("error", "internal: internal error: KeyError") in told
    text = "rule FU102 failed in true_graph_0: KeyError: 'x'. What it would have found is missing."
    assert ("error", text) in told
    assert ("note", "Look \\[here\\].") in told
    assert run_of(of(FINDING))["invocations"][0]["executionSuccessful"] is True


def test_brackets_of_a_name_make_no_link() -> None:
    """SARIF viewers render [text](url) in messages; names come from files by strangers."""
    [item] = run_of(of(finding(message="see [me](http://evil)")))["results"]
    assert "see \\[me\\](http://evil)" in item["message"]["text"]


def test_the_help_is_the_rules_own_and_lists_its_effects() -> None:
    rules = {rule["id"]: rule for rule in run_of(of(FINDING))["tool"]["driver"]["rules"]}
    markdown = rules["FU101"]["help"]["markdown"]
    rule = RULES["FU101"]
    assert markdown.startswith("# FU101: fused-activation-out-of-range\n")
    assert rule.remedy.split(".")[0] in markdown
    effects = markdown.split("## Effect by release")[1].split("## What to do")[0]
    assert effects.count("\n| ") == 2 + len(rule.effects.rows), "a header, a line, and the rows"
    assert all(f"| {known} |" in markdown for known in evidence_of(rule))


def test_rules_without_findings_are_listed_too() -> None:
    told = run_of(replace(of(), rules=("FU101", "QP301")))
    assert [rule["id"] for rule in told["tool"]["driver"]["rules"]] == ["FU101", "QP301"]
    assert told["results"] == []


def test_suppressed_findings_are_told_as_such() -> None:
    origin = SourceLine("fuseguard.toml", 9)
    kept = Suppression(SuppressionKind.IGNORE, "measured, harmless", date(2027, 1, 2), origin=origin)
    known = Suppression(SuppressionKind.BASELINE)
    told = run_of(of(BARE, suppressed=(finding(suppression=kept), finding(suppression=known))))
    plain, first, second = told["results"]
    assert "suppressions" not in plain
    assert first["suppressions"] == [
        {
            "kind": "external",
            "status": "accepted",
            "justification": "ignore: measured, harmless (until 2027-01-02)",
            "location": {
                "physicalLocation": {
                    "artifactLocation": {"uri": "fuseguard.toml", "uriBaseId": "SRCROOT"},
                    "region": {"startLine": 9, "startColumn": 1, "endLine": 9, "endColumn": 2},
                }
            },
        }
    ]
    assert second["suppressions"][0]["status"] == "underReview"


def test_findings_about_suppressions_need_no_program() -> None:
    item = UNUSED_SUPPRESSION.finding(SourceLine("fuseguard.toml", 3), "x", rule="FU101", scope="module a", where="")
    told = run_of(result(FileResult("fuseguard.toml", report(item, file="fuseguard.toml"), upkeep=True)))
    assert told["results"][0]["ruleId"] == "SU001"
    [rule] = [rule for rule in told["tool"]["driver"]["rules"] if rule["id"] == "SU001"]
    assert rule["shortDescription"]["text"] == UNUSED_SUPPRESSION.summary


def test_beyond_githubs_limit_the_worst_are_kept_and_the_rest_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif, "MAX_RESULTS", 3)
    warnings: list[str] = []
    told = log_of(of(BARE, BARE, FINDING, FINDING, BARE), warn=warnings.append)["runs"][0]
    assert [item["ruleId"] for item in told["results"]] == ["FU101", "FU101", "QP301"]
    [notification] = told["invocations"][0]["toolExecutionNotifications"]
    assert notification["level"] == "warning"
    assert notification["message"]["text"].startswith("2 findings left out")
    assert warnings == [notification["message"]["text"]], "once, and to who runs it too"


def test_beyond_githubs_size_the_log_shrinks_until_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif, "MAX_GZIPPED", 1500)
    monkeypatch.setattr(sarif, "descriptors", lambda *_: [{"id": "FU101", "name": "x"}])
    findings = [
        finding(message=f"{number * 7919:x} is out of range", fingerprint=f"fg1:{number}") for number in range(60)
    ]
    told = run_of(of(*findings))
    assert 0 < len(told["results"]) < 60
    text = told["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]
    assert text.startswith(f"{60 - len(told['results'])} findings left out")


@given(st.text(), st.text(min_size=1))
@settings(max_examples=40, deadline=None)
def test_it_is_valid_whatever_the_names(text: str, name: str) -> None:
    hostile = finding(
        message=text, remedy=text, nodes=(name,), module=text, file=text, graph=text, stack=(), target=text
    )
    [item] = run_of(result(FileResult(text, report(replace(hostile, source=None), file=text))))["results"]
    uri = item["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert re.fullmatch(r"[A-Za-z0-9_.~/%-]+", uri)


def test_somebody_elses_reader_finds_what_we_wrote(root: Path) -> None:
    """sarif-tools, an independent consumer: the same findings, severities, places and codes."""
    path = root / "fuseguard.sarif"
    path.write_text(sarif.render(ALL, Options(root, RULES)))
    read = loader.load_sarif_file(str(path))
    assert read.get_distinct_tool_names() == ["fuseguard"]
    assert read.get_result_count() == 2
    counts = read.get_report().get_issue_type_histogram_for_severity("error")
    assert list(counts.values()) == [1]
    records = sorted(read.get_records(), key=lambda record: record["Severity"])
    assert [(record["Severity"], record["Location"], int(record["Line"])) for record in records] == [
        ("error", "model.py", 7),
        ("warning", "m.pt2", 1),
    ]
    assert records[0]["Code"].startswith("FU101")
