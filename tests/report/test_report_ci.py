"""Formats that CI servers read: workflow commands, code quality, JUnit, and one line a finding."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseguard.engine import Effect, Severity
from fuseguard.engine.finding import Outcome, Suppression, SuppressionKind
from fuseguard.gate.result import CheckResult, FileResult
from fuseguard.ir.graph import SourceLine
from fuseguard.report.formats import FORMATS, OF_ONE_PROGRAM, render_document
from fuseguard.report.options import Options
from fuseguard_testkit.report_fakes import BARE, BUGGY, FAILURE, FINDING, UNREADABLE, finding, of, report, result

ALL = result(FileResult("m.pt2", report(FINDING, BARE, failures=(FAILURE,), notices=("Look.",))), UNREADABLE, BUGGY)
MATRIX = finding(
    outcomes=(
        Outcome("A", Effect.CRASH, Severity.ERROR),
        Outcome("B", Effect.EXACT, Severity.NOTE),
        Outcome("C", Effect.CRASH, Severity.ERROR),
        Outcome("D"),
    ),
    effect=Effect.CRASH,
)
OF_SEVERAL = [name for name in FORMATS if name not in OF_ONE_PROGRAM]
HIDDEN = finding(code="QP999", suppression=Suppression(SuppressionKind.IGNORE, "harmless"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "model.py").write_text("\n" * 6 + "    y = relu(conv(x))\n")
    return tmp_path


def text_of(name: str, check: CheckResult, root: Path = Path("/nonexistent"), **options: Any) -> str:
    return render_document(name, check, Options(root, **options))


# --- github ---------------------------------------------------------------------------------------------------


def parsed(line: str) -> tuple[str, dict[str, str], str]:
    """A workflow command as the runner reads it (actions/runner, ActionCommand.TryParseV2)."""
    match = re.fullmatch(r"::(\w+) (.*?)::(.*)", line)
    assert match, line

    def plain(text: str, *more: tuple[str, str]) -> str:
        for code, char in (*more, ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
            text = text.replace(code, char)
        return text

    pairs = (pair.split("=", 1) for pair in match[2].split(","))
    return match[1], {k: plain(v, ("%3A", ":"), ("%2C", ",")) for k, v in pairs}, plain(match[3])


def test_github_commands_name_place_and_severity(root: Path) -> None:
    lines = text_of("github", of(BARE, FINDING), root).splitlines()
    kind, properties, text = parsed(lines[0])
    assert (kind, properties) == (
        "error",
        {
            "file": "model.py", "line": "7", "endLine": "7", "col": "5", "endColumn": "22",
            "title": "FU101 fused-activation-out-of-range",
        },
    )  # fmt: skip
    assert text.startswith("relu is out of range (program, node conv2d, module block.conv)\nwrong: ")
    assert parsed(lines[1])[:2] == ("warning", {"file": "m.pt2", "title": "QP301 odd"})


@given(st.text(), st.text())
def test_no_name_from_a_file_ends_a_command_or_begins_one(message: str, name: str) -> None:
    hostile = finding(message=f"a\n::set-output name=x::{message}\r::error::b", name=f"x:,{name}%0A")
    [line] = [line for line in text_of("github", of(hostile)).split("\n") if line]
    assert line.isprintable()
    _, properties, text = parsed(line)
    assert properties.keys() == {"file", "title"}
    assert r"\x3a:set-output" in text


def test_github_is_told_of_files_that_were_not_checked() -> None:
    told = [parsed(line) for line in text_of("github", ALL).splitlines()]
    assert [(kind, properties["file"]) for kind, properties, _ in told if properties["title"] == "fuseguard"] == [
        ("error", "m.pt2"),
        ("error", "bad.pt2"),
        ("error", "bug.pt2"),
    ]


def test_more_than_github_shows_is_said() -> None:
    lines = text_of("github", of(*[BARE] * 12)).splitlines()
    assert len(lines) == 13
    assert lines[-1] == "GitHub annotates 10 of these 12 warnings; the lines above are all of them."


@pytest.mark.parametrize("name", ["github", "gitlab", "sarif"])
def test_a_report_that_points_into_the_users_code_names_the_line_of_the_model(root: Path, name: str) -> None:
    """All findings in a model of torchvision are at one line of the user's own: the call."""
    line = SourceLine("/home/me/venv/lib/python3.11/site-packages/torchvision/models/resnet.py", 93)
    call = SourceLine("model.py", 7, "forward", "    y = relu(conv(x))")
    text = text_of(name, of(finding(source=line, stack=(call, line), module="net.layer1.0")), root)
    assert "node conv2d, module net.layer1.0, torchvision/models/resnet.py:93" in text
    assert "/home/me" not in text, "no path of this machine"
    assert "model.py" in text
    assert "module" not in text_of(name, of(BARE), root).partition("odd")[2].partition("fix it")[0]


# --- gitlab ---------------------------------------------------------------------------------------------------


def test_gitlab_issues_have_what_gitlab_asks_for(root: Path) -> None:
    issues = json.loads(text_of("gitlab", ALL, root))
    for issue in issues:
        assert issue.keys() == {"description", "check_name", "fingerprint", "severity", "location"}
        assert issue["severity"] in ("info", "minor", "major", "critical", "blocker")
        assert issue["location"]["lines"]["begin"] >= 1
        assert not issue["location"]["path"].startswith(("/", "./"))
    assert [issue["severity"] for issue in issues] == ["blocker"] * 3 + ["critical", "minor"]
    assert issues[3]["location"] == {"path": "model.py", "lines": {"begin": 7}}


def test_gitlab_fingerprints_are_unique_and_those_of_the_findings() -> None:
    one, two = finding(fingerprint="fg1:1"), finding(fingerprint="fg1:2")

    def prints(*findings: Any) -> list[str]:
        return [issue["fingerprint"] for issue in json.loads(text_of("gitlab", of(*findings)))]

    first = prints(one, two)
    assert prints(two, one) == first[::-1]
    assert len(set(prints(one, one, one))) == 3


# --- junit ----------------------------------------------------------------------------------------------------


def suites(check: CheckResult, **options: Any) -> ElementTree.Element:
    return ElementTree.fromstring(text_of("junit", check, **options))


def cases(root: ElementTree.Element) -> dict[tuple[str | None, str | None], list[str]]:
    return {(c.get("classname"), c.get("name")): [child.tag for child in c] for c in root.iter("testcase")}


def test_junit_has_a_test_per_rule_that_ran() -> None:
    ran = replace(report(FINDING, BARE, failures=(FAILURE,)), rules=("FU101", "FU102", "QD201", "QP301"))
    root = suites(result(FileResult("m.pt2", ran), UNREADABLE))
    assert cases(root) == {
        ("m.pt2", "the program can be read"): [],
        ("m.pt2", "FU101 fused-activation-out-of-range"): ["failure"],
        ("m.pt2", "FU102"): ["error"],
        ("m.pt2", "QD201"): [],
        ("m.pt2", "QP301 odd"): ["system-out"],
        ("bad.pt2", "the program can be read"): ["error"],
    }
    assert {key: root.get(key) for key in ("tests", "failures", "errors")} == {
        "tests": "6", "failures": "1", "errors": "2",
    }  # fmt: skip


def test_a_junit_suite_is_as_schemas_want_it() -> None:
    """Properties, tests, at most one output; all texts of what is not a test are in that."""
    [suite] = suites(of(FINDING, suppressed=(HIDDEN,), notices=("Look.", "And here.")))
    tags = [child.tag for child in suite]
    assert tags == ["properties", *["testcase"] * (len(tags) - 2), "system-out"]
    assert suite[-1].text == "Look.\nAnd here.\nnot reported (ignore, harmless): QP999 relu is out of range"


def test_junit_fails_what_the_exit_code_fails() -> None:
    strict = suites(replace(of(FINDING, BARE), fail_on=Severity.WARNING))
    assert cases(strict)["m.pt2", "QP301 odd"] == ["failure"]
    failure = strict.find(".//failure")
    assert failure is not None
    assert "remedy    insert a pair" in (failure.text or "")


@given(st.text())
def test_junit_is_xml_whatever_the_names(text: str) -> None:
    root = suites(result(FileResult(f"m{text}.pt2", report(finding(message=text, remedy=text)))))
    assert root.find(".//failure") is not None


# --- concise --------------------------------------------------------------------------------------------------


def test_concise_is_a_line_per_finding_that_editors_can_jump_to(root: Path) -> None:
    lines = text_of("concise", of(finding(file="m.pt2", graph="true_graph_0"), BARE), root).splitlines()
    assert lines == [
        "model.py:7: FU101 relu is out of range (error: wrong; module block.conv; m.pt2, node conv2d of true_graph_0)",
        "m.pt2: QP301 odd (warning: quality; m.pt2, node n)",
        "1 error, 1 warning, 0 notes in 13 nodes, 2 islands; target TOSA-1.0+INT, ExecuTorch 1.5.1; policy consistent",
    ]


def test_concise_keeps_the_recorded_path_where_the_checkout_has_none() -> None:
    assert text_of("concise", of(FINDING)).startswith("model.py:7: FU101 ")


def test_concise_tells_errors_failures_and_notices_unless_quiet() -> None:
    loud, quiet = text_of("concise", ALL).splitlines(), text_of("concise", ALL, quiet=True).splitlines()
    assert "bad.pt2: error: is empty; save it again" in quiet
    assert "m.pt2: error: rule FU102 failed: KeyError: 'x'" in quiet
    assert [line for line in loud if line not in quiet] == ["m.pt2: notice: Look.", loud[-1]]


@given(st.text())
def test_concise_is_one_printable_line_whatever_the_names(text: str) -> None:
    lines = text_of("concise", of(finding(message=text, file=text)), quiet=True).split("\n")
    assert len(lines) == 2
    assert lines[0].isprintable()


# --- all ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["concise", "text"])
def test_statistics_take_the_place_of_findings(name: str) -> None:
    text = text_of(name, of(BARE, BARE, FINDING), statistics=True)
    assert [line.split() for line in text.splitlines()[:3]] == [
        ["findings", "code", "name", "worst", "repairable"],
        ["2", "QP301", "odd", "warning", "0"],
        ["1", "FU101", "fused-activation-out-of-range", "error", "1"],
    ]
    assert "relu is out of range" not in text
    assert any(line.startswith("1 error, 2 warnings") for line in text.splitlines()[-2:])
    assert text_of(name, of(), statistics=True).splitlines() == [text_of(name, of()).splitlines()[-1]]


@pytest.mark.parametrize("name", OF_SEVERAL)
def test_several_targets_are_all_told(name: str) -> None:
    text = text_of(name, of(MATRIX))
    if name == "concise":
        assert "(error: crash on 2 of 4 targets;" in text
    elif name in ("github", "gitlab", "sarif", "markdown"):
        assert "crash on A and C; exact on B; nothing found on D" in text
    else:
        for target in "ABCD":
            assert re.search(rf'(^|[ "]){target}[ "]', text, re.MULTILINE), (name, target)


@pytest.mark.parametrize("name", FORMATS)
def test_suppressed_findings_are_no_findings(name: str) -> None:
    text = text_of(name, of(suppressed=(HIDDEN,)))
    if name in ("json", "json-lines", "sarif", "junit"):
        assert "harmless" in text, "a format that has a place for them tells them as suppressed"
    else:
        assert "QP999" not in text
    assert "<failure" not in text


@pytest.mark.parametrize("name", OF_SEVERAL)
def test_every_format_renders_everything_and_nothing(name: str) -> None:
    assert text_of(name, of()).endswith("\n") or name == "github"
    assert text_of(name, ALL).endswith("\n")
    assert text_of(name, ALL) == text_of(name, ALL)
