"""docs/security.md names a test for each defence, and each of them exists.

Protects: an assurance case that rests on a test which was renamed or taken away, and a defence without any.
"""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from fuseguard_testkit.paths import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text()
NAMED = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)


@cache
def functions(path: str) -> frozenset[str]:
    """The tests of a file by name; nothing is imported."""
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_the_tests_that_are_named_are_there(path: str, name: str) -> None:
    assert (ROOT / path).is_file(), path
    assert not name or name in functions(path), f"{path} has no {name}"


def rows() -> list[list[str]]:
    table = PAGE.partition("| weakness | defence | test |")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_every_defence_has_a_test() -> None:
    assert len(rows()) > 25
    for weakness, defence, tests in rows():
        if not weakness.startswith("**"):
            assert defence, weakness
            assert "::test_" in tests, weakness


def test_the_case_has_all_its_parts() -> None:
    headings = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    expected = ["Assets", "Entry points", "Weaknesses and defences", "Limits", "What does run code"]
    assert [heading for heading in headings if heading in expected] == expected
    assert headings[-1] == "Report a vulnerability"


def test_every_file_of_safety_tests_is_part_of_the_case() -> None:
    files = {f"tests/safety/{path.name}" for path in (ROOT / "tests" / "safety").glob("test_*.py")}
    assert files - {path for path, _ in NAMED} == set()


def test_limits_of_effort_are_those_of_the_engine() -> None:
    from fuseguard.engine import effort, exposure
    from fuseguard.engine.run import MAX_FINDINGS
    from fuseguard.gate import gate
    from fuseguard.readers import budget

    for row in (
        f"| lookup tables and code ranges that rules work out | {effort.MAX_ITEMS:,} |",
        f"exposes another | {exposure.MAX_LOOKS:,} nodes looked at, or {exposure.ROUNDS} rounds |",
        f"| arguments that are nodes | {budget.MAX_USES:,} |",
        f"| arguments and results of nodes, members of lists included | {budget.MAX_ARGUMENTS:,} |",
        f"| findings | {MAX_FINDINGS:,} |",
        f"| time of a rule on a graph | {gate.RULE_SECONDS:g} s |",
    ):
        assert row in PAGE
