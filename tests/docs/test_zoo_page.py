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
from zoo.layout import completed

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


@pytest.mark.parametrize("way", ["unguarded", "guarded", "repaired"])
def test_the_page_counts_the_outcomes_of_every_lowering(data: dict[str, Any], page: str, way: str) -> None:
    heads, _, *lines = [line.split(" | ") for line in section(page, "What was run").splitlines() if line[:1] == "|"]
    cells = ", ".join(line[heads.index(way)] for line in lines)
    counted: Counter[str] = Counter()
    for number, name in re.findall(r"(\d+) ([a-z_ ]+)", cells):
        counted[name] += int(number)
    assert counted == Counter(row[way]["outcome"] or row[way]["status"] for row in data["items"] if row[way])


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


def results(*items: dict[str, Any], not_built: dict[str, str] | None = None) -> dict[str, Any]:
    entry = {"name": "one", "configs": ["int8", "a16w8"], "not_built": not_built or {}}
    return {"version": 1, "programs": [entry], "items": list(items)}


def item(program: str, config: str, unguarded: str | None, scores: str | None = None) -> dict[str, Any]:
    place = {"program": program, "config": config, "release": "1", "target": "t"}
    return {**place, "unguarded": unguarded, "scores": scores}


def test_earlier_results_stay_where_a_run_has_none() -> None:
    """Protects: a machine that has judged ten programs removes what another one has judged."""
    now = results(item("one", "int8", None), item("one", "a16w8", "new", "b"))
    before = results(item("one", "a16w8", "old", "a"), item("one", "int8", "kept"), item("gone", "int8", "x"))
    assert completed(now, before)["items"] == [item("one", "int8", "kept"), item("one", "a16w8", "new", "b")]
    assert completed(results(), before)["items"] == [item("one", "int8", "kept"), item("one", "a16w8", "old", "a")]


def test_a_program_that_could_not_be_built_earlier_is_listed_until_it_can() -> None:
    before = results(not_built={"int8": "it failed"})
    assert completed(results(), before)["programs"][0]["not_built"] == {"int8": "it failed"}
    assert completed(results(item("one", "int8", None)), before)["programs"][0]["not_built"] == {}


def test_results_of_another_layout_are_not_mixed() -> None:
    with pytest.raises(ValueError, match="version 0"):
        completed(results(), {**results(), "version": 0})
