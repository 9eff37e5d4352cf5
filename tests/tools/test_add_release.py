"""Adding a release, with environments of a few files and a ``fuseguard`` that is a shell script.

Protects: a step that is left out or done twice, and a decision that is not printed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import add_release
from add_release import Addition, add, decisions, measured_releases
from recordings import differences, read_recording
from release_env import EnvError, HeavyEnv, Overlay

CASE = {
    "rule": "FU101", "example": "conv, relu", "form": "graph", "spec": "TOSA-1.0+INT", "digest": "ab", "found": [],
    "seen": "wrong", "cpu": 0, "guarded": "exact", "repaired": "exact", "equal": True, "date": "2026-11-28",
}  # fmt: skip
#: Prints what a selftest prints, and writes the recording.
SELFTEST = """#!/bin/sh
[ "$1 $2" = "selftest --record" ] && [ "$4 $5 $6 $7" = "-j 2 --output-format json" ] || exit 2
printf '%s' '{recording}' > "$3"
printf '%s' '{report}'
exit 1
"""


def recording(release: str, *cases: dict[str, Any]) -> str:
    return json.dumps({"schema": 1, "executorch": release, "cases": cases})


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two releases with constraints and a finished environment each; 1.5.1 has a recording."""
    monkeypatch.setenv("FUSEGUARD_ENVS", str(tmp_path / "envs"))
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / add_release.MEASURED).mkdir(parents=True)
    (tmp_path / add_release.MEASURED / "1.5.1.json").write_text(recording("1.5.1", CASE))
    (tmp_path / "constraints").mkdir()
    monkeypatch.setattr(HeavyEnv, "build", install)
    monkeypatch.setattr(Overlay, "build", lambda overlay: (overlay.path / "bin").mkdir(parents=True, exist_ok=True))
    (tmp_path / "constraints" / "executorch-1.5.1.txt").write_text("executorch==1.5.1\ntorch==2.13.0\n")
    return tmp_path


def install(heavy: HeavyEnv) -> None:
    passes = heavy.packages / "executorch" / "backends" / "arm" / "_passes"
    passes.mkdir(parents=True, exist_ok=True)
    (passes / "a.py").write_text(f"class FoldPass(ExportPass):\n    targets = {{'{heavy.release}'}}\n")


def write_selftest(checkout: Path, text: str) -> None:
    path = checkout / ".venvs" / "1.5.0" / "bin" / "fuseguard"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def addition(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Addition:
    monkeypatch.setattr(add_release, "metadata_of", lambda python, release: ["torch>=2.12"])
    monkeypatch.setattr(add_release, "resolve_with", lambda python: lambda requirements, constraints: {})
    seen = {"code": "FU101", "example": "conv, relu", "form": "graph", "target": "TOSA-1.0+INT"}
    report = {"cases": [{**seen, "agrees": False, "fault": "announced wrong, seen exact"}]}
    text = SELFTEST.replace("{recording}", recording("1.5.0", {**CASE, "seen": "exact", "cpu": 2}))
    write_selftest(checkout, text.replace("{report}", json.dumps(report)))
    return Addition("1.5.0", "1.5.1", checkout)


def test_every_step_is_done_and_what_it_found_is_printed(addition: Addition) -> None:
    add(addition, {}, 2, "record")
    assert addition.constraints.read_text() == "executorch==1.5.0\ntorch==2.13.0\n"
    text = decisions(addition)
    for line in (
        "every pin of 1.5.1",
        "changed FoldPass (_passes/a.py)",
        "FoldPass.targets (_passes/a.py)\n    + '1.5.0'\n    - '1.5.1'",
        "FU101 conv, relu (graph, TOSA-1.0+INT): seen wrong -> exact, cpu 0 -> 2",
        "FU101 conv, relu (graph, TOSA-1.0+INT): announced wrong, seen exact",
    ):
        assert line in text
    assert list(addition.took) == list(add_release.STEPS)


def test_a_step_whose_result_is_there_is_not_done_again(addition: Addition, checkout: Path) -> None:
    add(addition, {}, 2, "record")
    write_selftest(checkout, "#!/bin/sh\nexit 2\n")
    addition.constraints.write_text("executorch==1.5.0\n# changed by hand\n")
    again = Addition("1.5.0", "1.5.1", checkout)
    add(again, {}, 2, "record")
    assert "changed by hand" in addition.constraints.read_text()
    assert "was there already" in decisions(again)
    # "1", with the reason as the only case, read like a case that disagrees.
    assert "Cases that disagree with the effects tables: unknown: the recording was there" in decisions(again)
    assert "seen wrong -> exact" in decisions(again)


def test_the_last_step_can_be_named(addition: Addition, checkout: Path) -> None:
    add(addition, {}, 2, "compare")
    assert not add_release.recording_of("1.5.0", checkout).exists()
    assert "effect changed" not in decisions(addition)


def test_a_selftest_that_records_nothing_is_an_error(addition: Addition, checkout: Path) -> None:
    write_selftest(checkout, "#!/bin/sh\nexit 2\n")
    with pytest.raises(EnvError, match="exit code 2"):
        add(addition, {}, 2, "record")


def test_without_a_recording_of_the_neighbour_nothing_is_claimed(addition: Addition, checkout: Path) -> None:
    add_release.recording_of("1.5.1", checkout).unlink()
    add(addition, {}, 2, "record")
    assert "Cases whose effect changed: unknown: there is no recording of 1.5.1" in decisions(addition)


def test_only_measured_releases_are_started_from(checkout: Path) -> None:
    (checkout / "constraints" / "executorch-1.5.2.txt").write_text("executorch==1.5.2\n")
    assert measured_releases(checkout) == ("1.5.1",)
    add_release.recording_of("1.5.1", checkout).unlink()
    assert measured_releases(checkout) == ("1.5.2", "1.5.1")


def test_recordings_are_compared_case_by_case(tmp_path: Path) -> None:
    other = {**CASE, "example": "conv"}
    (tmp_path / "a.json").write_text(recording("1.5.1", CASE, other, {**CASE, "form": "program", "equal": None}))
    changed = {**CASE, "repaired": "", "equal": None}
    (tmp_path / "b.json").write_text(
        recording("1.5.0", changed, {**other, "digest": "cd", "seen": "crash"}, {**CASE, "rule": "QD201"})
    )
    old, new = read_recording(tmp_path / "a.json"), read_recording(tmp_path / "b.json")
    assert list(differences(old, new)) == [
        "FU101 conv (graph, TOSA-1.0+INT): another program was recorded on 1.5.1; record it again there",
        "FU101 conv, relu (graph, TOSA-1.0+INT): repaired exact -> -, equal true -> -",
        "FU101 conv, relu (program, TOSA-1.0+INT): only recorded on 1.5.1",
        "QD201 conv, relu (graph, TOSA-1.0+INT): only recorded on 1.5.0",
    ]
    assert not list(differences(old, old))
    (tmp_path / "c.json").write_text('{"cases": [{}]}')
    with pytest.raises(ValueError, match=r"c\.json is not a recording of a known form: KeyError\('rule'\)"):
        read_recording(tmp_path / "c.json")
