"""AR and PG codes, which no rule class has, are known wherever codes are: rules, explain, pages, selections, SARIF."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from fuseguard.cli.main import cli
from fuseguard.engine.archive_rules import ARCHIVE_RULES
from fuseguard.engine.program_rules import PROGRAM_RULES
from fuseguard_testkit.code_routes import ROUTES
from fuseguard_testkit.paths import DATA, ROOT

RULES = (*ARCHIVE_RULES, *PROGRAM_RULES)
INT = ("--target", "TOSA-1.0+INT", "--executorch", "1.5.1")


def run(*args: str) -> str:
    result = CliRunner().invoke(cli, list(args))
    assert result.exit_code in (0, 1), result.output
    return result.output


def test_there_are_nine_routes_and_eight_codes_of_programs() -> None:
    assert [rule.code for rule in ARCHIVE_RULES] == [f"AR90{number}" for number in range(1, 10)]
    assert [rule.code for rule in PROGRAM_RULES] == [f"PG80{number}" for number in range(1, 9)]


def test_all_are_listed() -> None:
    listed = run("rules")
    document = {rule["code"] for rule in json.loads(run("rules", "--output-format", "json"))["rules"]}
    for rule in RULES:
        assert rule.code in listed
        assert rule.name in listed
        assert rule.code in document


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_each_is_explained_by_its_code_and_by_its_name(rule: object) -> None:
    code, name = rule.code, rule.name  # type: ignore[attr-defined]
    by_code, by_name = run("explain", code), run("explain", name)
    assert by_code == by_name
    assert by_code.startswith(f"{code} {name}\n")
    assert "What to do" in by_code or "remedy" in by_code.lower()
    page = (ROOT / "docs" / "rules" / f"{code}.md").read_text()
    assert name in page
    assert f"{code}.md" in (ROOT / "docs" / "rules" / "index.md").read_text()


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_sarif_describes_the_archive_rule_of_a_finding(route: object, tmp_path: Path) -> None:
    path = tmp_path / "m.pt2"
    route.forge(path, tmp_path / "marker")  # type: ignore[attr-defined]
    _check_sarif(path, route.code)  # type: ignore[attr-defined]
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("cond.pt2", "PG801"), ("observers.pt2", "PG802"), ("xnnpack.pt2", "PG803"), ("xnnpack_lowered.exir", "PG804"),
        ("conv_cat_lowered.exir", "PG807"),
    ],
)  # fmt: skip
def test_sarif_describes_the_program_rule_of_a_finding(program: str, code: str) -> None:
    _check_sarif(DATA / program, code)


def _check_sarif(path: Path, code: str) -> None:
    [log] = json.loads(run("check", "--no-config", str(path), *INT, "--output-format", "sarif"))["runs"]
    described = log["tool"]["driver"]["rules"]
    results = [result for result in log["results"] if result["ruleId"] == code]
    assert results
    for result in results:
        rule = described[result["ruleIndex"]]
        assert rule["id"] == code
        assert rule["fullDescription"]["text"]
        assert rule["help"]["text"]
