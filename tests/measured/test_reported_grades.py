"""How every report format states the evidence of an effect.

Protects: a report that says "measured" of a release that nobody measured.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from typing import Any

import pytest

from fuseguard import measured
from fuseguard.engine import Evidence, run
from fuseguard.engine.finding import Severity
from fuseguard.engine.registry import load_registry
from fuseguard.gate.result import CheckResult, FileResult
from fuseguard.gate.targets import merge
from fuseguard.gate.upgrade import compare
from fuseguard.report.formats import FORMATS, render_document
from fuseguard.report.lines import plain
from fuseguard.report.options import Options
from fuseguard.report.rule_json import full
from fuseguard.report.rule_markdown import rule_markdown
from fuseguard.report.upgrade import FileUpgrade, UpgradeResult
from fuseguard.report.upgrade import render as render_upgrade
from fuseguard.target import Target
from fuseguard_testkit.recordings import case

REGISTRY = load_registry()


RULE = next(rule for rule in REGISTRY.rules if rule.code == "BO601")


def checked(*releases: str) -> CheckResult:
    graph = RULE.bad[0].graph()
    targets = [Target.parse("TOSA-1.0+INT", release) for release in releases]
    report = merge([run(graph, target, REGISTRY.select(), file="m.pt2") for target in targets], graph)
    files = (FileResult("m.pt2", report),)
    return CheckResult(targets[0], "consistent", files, report.rules, 1, targets=tuple(targets))


def bo601(outcome: str = "runtime_fault") -> tuple[Any, ...]:
    findings = run(RULE.bad[0].graph(), Target.parse("TOSA-1.0+INT", "1.5.1"), (RULE,)).findings
    (shown,) = {finding.case for finding in findings}
    title = RULE.bad[0].title
    return tuple(case("BO601", shown, outcome, profile, example=title) for profile in ("INT", "INT+FP"))


@pytest.mark.parametrize("name", sorted({*FORMATS} - {"json", "json-lines"}))
@pytest.mark.parametrize("release", ["1.6.0", "1.5.0", "1.4.0"])
def test_no_format_says_measured_of_a_release_that_nobody_measured(record: Any, name: str, release: str) -> None:
    record(_1_5_1=bo601(), _1_4_1=bo601())
    # What a rule about one accelerator was measured on is part of its table, and not of the recordings.
    options = Options(rules={rule.code: rule for rule in REGISTRY.rules if not rule.accelerator})
    text = render_document(name, checked(release), options)
    if name == "html":  # it has the whole effects table, whose rows say what they were measured on
        measured_on = r'"evidence":"measured","measured_on":\[([^\]]*)\]'
        rows = re.findall(measured_on, text)
        assert rows
        assert not any(release in row for row in rows)
        text = re.sub(measured_on, "", text)
    for claim in (r"evidence +measured", r'[eE]vidence"[^\n,]*measured"', f"measured on {release}", "very-high"):
        assert not re.search(claim, text), claim
    if name in ("text", "junit", "sarif", "github", "gitlab"):
        assert ("announced" if release == "1.6.0" else "inferred from 1.") in text


def test_json_and_json_lines_say_it_in_their_keys(record: Any) -> None:
    record(_1_5_1=bo601())
    for release, evidence, nearest in (("1.5.1", "measured", "1.5.1"), ("1.6.0", "announced", "1.5.1")):
        document = json.loads(render_document("json", checked(release)))
        found_there = [item for item in document["files"][0]["findings"] if item["code"] == "BO601"]
        assert found_there
        for item in found_there:
            assert (item["evidence"], item["evidence_release"]) == (evidence, nearest)
            assert item["case"]
        assert document["target"]["executorch_measured"] is (release in measured.RELEASES)
        lines = [json.loads(line) for line in render_document("json-lines", checked(release)).splitlines()]
        assert evidence in {line["evidence"] for line in lines if line["type"] == "finding"}


def test_sarif_says_it_of_results_and_calls_no_rule_very_precise_for_such_a_release(record: Any) -> None:
    record(_1_5_1=bo601())
    options = Options(rules={RULE.code: RULE})
    for release, evidence, precision in (("1.5.1", "measured", "very-high"), ("1.6.0", "announced", "high")):
        (log,) = json.loads(render_document("sarif", checked(release), options))["runs"]
        results = [item for item in log["results"] if item["ruleId"] == "BO601"]
        assert {item["properties"]["evidence"] for item in results} == {evidence}
        (rule,) = [rule for rule in log["tool"]["driver"]["rules"] if rule["id"] == "BO601"]
        assert rule["properties"]["precision"] == precision
        assert "#22966" in rule["help"]["markdown"]
    assert "announced to change: #22966" in results[0]["message"]["text"]


def test_of_several_targets_each_says_how_its_effect_is_known(record: Any) -> None:
    record(_1_5_1=bo601())
    result = checked("1.5.1", "1.6.0", "1.5.0")
    (finding, *_) = [item for item in result.findings if item.code == "BO601"]
    assert [outcome.evidence for outcome in finding.outcomes] == [
        Evidence.MEASURED, Evidence.ANNOUNCED, Evidence.INFERRED,
    ]  # fmt: skip
    assert [outcome.evidence_release for outcome in finding.outcomes] == ["1.5.1"] * 3
    text = render_document("text", result)
    assert "measured (TOSAPartitioner" in text
    assert "announced (#22966" in text
    assert "inferred from 1.5.1 (TOSAPartitioner" in text
    (told, *_) = [line for line in render_document("github", result).splitlines() if "BO601" in line]
    assert "ExecuTorch 1.5.0 (inferred from 1.5.1)" in told
    assert "ExecuTorch 1.5.1, " in told
    suite = ElementTree.fromstring(render_document("junit", result))
    assert "announced (#22966" in "".join(suite.itertext())


def test_an_upgrade_check_says_what_is_announced(record: Any) -> None:
    record(_1_5_1=bo601())
    upgrade = compare(checked("1.5.1", "1.6.0").programs[0].report)
    result = UpgradeResult((FileUpgrade("m.pt2", upgrade),), upgrade.report.targets, "consistent", 0)
    text = plain(render_upgrade(result))
    assert "runtime_fault -> runtime_fault" in text
    assert "evidence  announced (#22966 (of 2026-09-21, merged)" in text
    assert "announced to change; ExecuTorch 1.5.1 -> 1.6.0" in text
    same = compare(checked("1.5.1", "1.5.1").programs[0].report)
    assert UpgradeResult((FileUpgrade("m.pt2", same),), same.report.targets, "consistent", 0).announced == 0


def test_a_rule_explains_how_its_rows_are_known(record: Any) -> None:
    record(_1_5_1=bo601())
    told = full(RULE, "fuseguard")
    assert [row["measured_on"] for row in told["effects"] if row["profile"] == "INT"] == [["1.5.1"]]
    assert [row["announced_from"] for row in told["effects"] if row["profile"] == "INT"] == [["1.6"]]
    announced = told["announced"]
    assert [(item["pull_request"], item["expected"], item["basis"], item["appears"]) for item in announced] == [
        ("#22966", "cpu_fallback", "text", False), ("#22641", None, "mechanism", True),
    ]  # fmt: skip
    markdown = rule_markdown(RULE)
    assert "measured on 1.5.1; announced to change from 1.6" in markdown
    assert "## Announced upstream" in markdown


def test_an_unmeasured_effect_is_no_less_severe(record: Any) -> None:
    record(_1_5_1=bo601())
    graph = RULE.bad[0].graph()
    before, after = (
        run(graph, Target.parse("TOSA-1.0+INT", release), (RULE,)).findings for release in ("1.5.1", "1.6.0")
    )
    assert {f.severity for f in after} == {Severity.ERROR}
    plainly = [replace(f, evidence=None, evidence_note="", evidence_release="", target="") for f in before]
    assert plainly == [replace(f, evidence=None, evidence_note="", evidence_release="", target="") for f in after]
