"""What the engines made of the rules' examples and of drawn programs: the committed records, and a dozen of them again.

Protects: hours of judging that are lost or done twice, and a page that says something else than the records.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

from differential import engine_records, sources, vela_programs, vgf_programs
from fuseguard.executorch.engines.status import vgf_status
from fuseguard_testkit.paths import ROOT

NOTES = (ROOT / "docs" / "lab-notes.md").read_text(encoding="utf-8")
VGF = {source: engine_records.read(vgf_programs.path_of(source)) for source in vgf_programs.SOURCES}
VELA = {source: engine_records.read(vela_programs.path_of(source)) for source in vela_programs.SOURCES}
OUTCOMES = {"exact", "bounded", "wrong", "crash", "undefined", "runtime_fault", "not_judged"}
#: How many are judged again. All take hours.
AGAIN = 12


def _version() -> str:
    try:
        return version("executorch")
    except PackageNotFoundError:
        return ""


def items(*keys: str, log: list[str]) -> list[tuple[str, Callable[[], dict[str, Any]]]]:
    return [(key, lambda key=key: log.append(key) or {"vgf": "exact"}) for key in keys]  # type: ignore[func-returns-value]


# --- a run -------------------------------------------------------------------------------------------------


def test_a_run_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    path, log = tmp_path / "records" / "some.jsonl", list[str]()
    engine_records.run(path, items("a", "b", log=log), 1, lambda: None)
    with path.open("a") as stream:
        stream.write('{"key":"c","vg')  # it was ended while it wrote
    engine_records.run(path, items("a", "b", "c", "d", log=log), 1, lambda: None)
    assert log == ["a", "b", "c", "d"]
    assert list(engine_records.read(path)) == ["a", "b", "c", "d"]


def test_what_raises_is_a_record_and_what_ends_the_process_is_not_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"

    def fail() -> dict[str, Any]:
        raise ValueError("no\nmore")

    engine_records.run(path, [("a", fail)], 1, lambda: None)
    path.with_suffix(".begun").write_text("b")
    log: list[str] = []
    engine_records.run(path, items("a", "b", "c", log=log), 1, lambda: None)
    found = engine_records.read(path)
    assert (found["a"]["error"], found["b"]["error"], log) == ("ValueError: no", "the process ended", ["c"])
    assert not path.with_suffix(".begun").exists()


def test_what_takes_too_long_is_a_record_although_the_judge_catches_exceptions(tmp_path: Path) -> None:
    """A lowering that took too long was recorded as one that crashes."""

    def judged() -> dict[str, Any]:
        try:
            time.sleep(20)
        except Exception as error:
            return {"vgf": "crash", "said": str(error)}
        return {"vgf": "exact"}

    path = tmp_path / "some.jsonl"
    engine_records.run(path, [("a", judged)], 1, lambda: None, seconds=1)
    assert engine_records.read(path)["a"] == {"key": "a", "error": "TooLate: not done after 1 s"}


def test_nothing_is_begun_when_the_time_is_up(tmp_path: Path) -> None:
    log: list[str] = []
    engine_records.run(tmp_path / "some.jsonl", items("a", log=log), -1, lambda: None)
    assert log == []


def test_the_table_counts_what_vela_refuses_apart() -> None:
    rows = vela_programs.table({
        "X a @ ethos-u55-128": {"tosa": "exact", "cycles": 3},
        "X a @ ethos-u85-256": {"tosa": "exact", "vela": "crash", "said": "no"},
        "X b @ ethos-u55-128": {"tosa": "crash"},
        "X c @ ethos-u55-128": {"error": "no program"},
    })  # fmt: skip
    assert rows == [("crash", 1, 0, "not compiled"), ("exact", 0, 1, "crash"), ("exact", 1, 0, "the same")]


@pytest.mark.parametrize("script", ["vela_programs.py", "vgf_programs.py"])
def test_the_scripts_print_what_the_records_say(script: str) -> None:
    path = ROOT / "tests" / "differential" / script
    done = subprocess.run(
        [sys.executable, str(path), "--summary"], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert done.stdout.strip()


# --- the committed records --------------------------------------------------------------------------------


def test_the_records_are_about_examples_that_there_are() -> None:
    known = {f"{case.code} {case.title}" for case, _ in sources.examples()}
    targets = vela_programs.TARGETS
    assert set(VELA["examples"]) <= {vela_programs.key_of(name, target) for name in known for target in targets}
    assert set(VGF["examples"]) <= known


def test_every_record_has_an_outcome_or_says_why_not() -> None:
    for record in [record for records in VGF.values() for record in records.values()]:
        assert "error" in record or record["vgf"] in OUTCOMES, record
    for record in [record for records in VELA.values() for record in records.values()]:
        assert "error" in record or record["tosa"] in OUTCOMES, record


def test_the_page_has_the_table_of_the_records() -> None:
    for row in [row for records in VELA.values() for row in vela_programs.table(records)]:
        assert "| " + " | ".join(map(str, row)) + " |" in NOTES.replace("`", "")


def test_the_page_has_the_counts_of_the_records() -> None:
    for source in VGF:
        assert next(vgf_programs.summary(source)) in NOTES.replace("`", "")


# --- a dozen of them again --------------------------------------------------------------------------------


def dozen() -> list[str]:
    """At equal distances among the examples that were lowered."""
    lowered = sorted(key for key, item in VGF["examples"].items() if item.get("vgf") not in (None, "crash"))
    step = max(1, len(lowered) // AGAIN)
    return lowered[::step][:AGAIN]


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.skipif(not vgf_status().works, reason=vgf_status().explained().replace("\n", " "))
@pytest.mark.skipif(_version() != "1.5.1", reason="the records are of 1.5.1")
@pytest.mark.parametrize("key", dozen())
def test_an_example_does_on_vulkan_what_its_record_says(key: str) -> None:
    make = dict(vgf_programs.of_examples())[key]
    recorded = VGF["examples"][key]
    found = make()
    assert {name: found.get(name) for name in ("vgf", "tosa")} == {name: recorded.get(name) for name in ("vgf", "tosa")}
    assert bool(found.get("differences")) == bool(recorded.get("differences"))


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.skipif(not vgf_status().works, reason=vgf_status().explained().replace("\n", " "))
@pytest.mark.skipif(_version() != "1.5.1", reason="the records are of 1.5.1")
@pytest.mark.parametrize("source", ["first", "results"])
def test_a_drawn_program_does_on_vulkan_what_its_record_says(source: str) -> None:
    """The script imported a name that had moved, and every record of a drawn program was an error."""
    key = next(key for key, item in VGF[source].items() if item.get("vgf") == "exact")
    assert dict(vgf_programs.of_grammar(source))[key]()["vgf"] == "exact"
