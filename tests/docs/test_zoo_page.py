"""The committed results of examples/zoo and the page that is made from them.

Protects: a page that shows nothing of the data, data that name programs which are gone, and paths of a machine in them.
"""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import zoo_page

FAMILIES = Path(__file__).parents[2] / "examples" / "zoo" / "families"


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    return json.loads(zoo_page.RESULTS.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page() -> str:
    return zoo_page.zoo_page()


def registered() -> dict[str, str]:
    """Program -> family, read from the source: the registry itself needs torch."""
    found = {}
    for path in sorted(FAMILIES.glob("[a-z]*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            for call in node.decorator_list if isinstance(node, ast.FunctionDef) else ():
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "program":
                    found[node.name] = path.stem
    return found


def section(page: str, title: str) -> str:
    return page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_data_have_the_programs_of_the_register(data: dict[str, Any]) -> None:
    assert {entry["name"]: entry["family"] for entry in data["programs"]} == registered()


def test_there_are_forty_programs_and_five_with_trained_weights(data: dict[str, Any]) -> None:
    assert len(data["programs"]) >= 40
    assert sum(entry["weights"] != "random" for entry in data["programs"]) >= 5


def test_each_row_is_about_a_program_once(data: dict[str, Any]) -> None:
    configs = {entry["name"]: entry["configs"] for entry in data["programs"]}
    keys = Counter((row["program"], row["config"], row["release"], row["target"]) for row in data["items"])
    assert max(keys.values()) == 1
    assert all(config in configs[program] for program, config, _, _ in keys)


def test_a_lowering_that_is_wrong_is_on_the_page(data: dict[str, Any], page: str) -> None:
    shown = section(page, "Silently wrong")
    wrong = [row for row in data["items"] if row["unguarded"] and row["unguarded"]["outcome"] in ("wrong", "undefined")]
    assert shown.count("\n| `") == len(wrong)
    for row in wrong:
        assert f"| `{row['program']}` | {row['config']} | {row['target']} | {row['release']} |" in shown


def test_the_page_counts_what_was_run(data: dict[str, Any], page: str) -> None:
    counted = re.findall(r"^\| ([\d.]+) \| (\S+) \| (\S+) \| (\d+) \|", section(page, "What was run"), re.M)
    expected = Counter((row["release"], row["target"], row["config"]) for row in data["items"])
    assert {tuple(key): int(number) for *key, number in counted} == expected


def test_the_page_lists_every_program(data: dict[str, Any], page: str) -> None:
    listed = re.findall(r"^\| `(\w+)` \|", section(page, "The programs"), re.M)
    assert Counter(listed[: len(data["programs"])]) == Counter(entry["name"] for entry in data["programs"])


def test_no_path_of_a_machine_is_in_the_data() -> None:
    assert not re.findall(r"/(?:root|home|work|tmp|usr)/", zoo_page.RESULTS.read_text(encoding="utf-8"))


def row(outcome: str, findings: dict[str, int], unpredicted: int = 0) -> dict[str, Any]:
    return {"unguarded": {"outcome": outcome, "unpredicted_cells": unpredicted}, "check": {"findings": findings}}


@pytest.mark.parametrize(
    ("given", "missed", "too_strict"),
    [
        (row("wrong", {}), True, False),
        (row("wrong", {"FU101 wrong": 1}), False, False),
        (row("wrong", {"FU101 wrong": 1}, unpredicted=1), True, False),
        (row("crash", {"FU101 wrong": 1}), True, False),
        (row("crash", {"DT508 crash": 2}), False, False),
        (row("exact", {"FU101 wrong": 1}), False, True),
        (row("exact", {"BO601 cpu_fallback": 1}), False, False),
        (row("bounded", {}), False, False),
    ],
)
def test_what_counts_as_a_disagreement(given: dict[str, Any], missed: bool, too_strict: bool) -> None:
    assert (zoo_page.missed(given), zoo_page.too_strict(given)) == (missed, too_strict)
