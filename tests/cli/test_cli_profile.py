"""``--profile`` says where the time went: readers, views and rules, each sorted, with calls. Seconds are not tested."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from click.testing import Result

from fuseguard.cli.profiling import Steps
from fuseguard.engine import load_registry
from fuseguard_testkit.cli_process import fuseguard
from fuseguard_testkit.paths import DATA

PARTS = ("Readers", "What rules ask", "Rules", "Other packages")
ROW = re.compile(r" +(\d+\.\d{4}) +([\d,]+) +(\S.*)")


def parts_of(text: str) -> dict[str, list[tuple[float, int, str]]]:
    """Heading -> its rows."""
    found: dict[str, list[tuple[float, int, str]]] = {}
    for line in text.splitlines():
        heading = next((part for part in PARTS if line.startswith(part)), "")
        if heading:
            rows = found[heading] = []
        elif match := ROW.fullmatch(line):
            rows.append((float(match[1]), int(match[2].replace(",", "")), match[3]))
    return found


@pytest.fixture(scope="module")
def profile() -> dict[str, list[tuple[float, int, str]]]:
    """Of a real check in a process of its own."""
    done = fuseguard("check", "--no-config", "--profile", "-j", "2", str(DATA / "conv_cat.pt2"), str(DATA / "cond.pt2"))
    plain = fuseguard("check", "--no-config", str(DATA / "conv_cat.pt2"), str(DATA / "cond.pt2"))
    assert (done.stdout, done.returncode) == (plain.stdout, plain.returncode), "a report does not depend on a profile"
    assert "seconds in all" in done.stderr
    return parts_of(done.stderr)


def test_every_part_is_there_and_sorted(profile: dict[str, list[tuple[float, int, str]]]) -> None:
    assert tuple(profile) == PARTS
    for rows in profile.values():
        seconds = [row[0] for row in rows]
        assert rows
        assert seconds == sorted(seconds, reverse=True)
        assert all(calls > 0 for _, calls, _ in rows)


def test_readers_views_and_rules_are_named(profile: dict[str, list[tuple[float, int, str]]]) -> None:
    names = {part: {name for _, _, name in rows} for part, rows in profile.items()}
    assert {"pt2", "serde", "archive", "zip_layout", "hazards"} <= names["Readers"]
    assert {"View.of_kind", "backend.per_view"} <= names["What rules ask"], "two of the first rows of forty"
    codes = {rule.code for rule in load_registry().rules}
    assert len(names["Rules"] & codes) >= 39, "the rules that ran, up to the limit of rows"
    assert "engine" in names["Other packages"]


def test_a_rule_is_called_for_every_graph(profile: dict[str, list[tuple[float, int, str]]]) -> None:
    """Two programs, one of which has two control-flow bodies."""
    assert all(calls >= 4 for _, calls, _ in profile["Rules"])


def test_a_check_that_raises_is_profiled_too(cli: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("fuseguard.cli.check.check_with", fail)
    result = cli("check", "clean.pt2", "--profile")
    assert result.exit_code == 2
    assert "seconds in all" in result.stderr


def test_steps_of_a_proof_are_timed_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []
    times = iter([0.0, 1.0, 3.0, 3.5, 4.5, 5.0])
    steps = Steps(told.append, lambda: next(times))
    for text in ("lowering", "cell 1 of 2", "cell 2 of 2", "comparing"):
        steps(text)
    steps.tell()
    assert told == ["lowering", "cell 1 of 2", "cell 2 of 2", "comparing"]
    rows = [line.split() for line in capsys.readouterr().err.splitlines()]
    assert rows[0] == ["seconds", "times", "step"]
    assert rows[1:4] == [["2.0000", "1", "lowering"], ["1.5000", "2", "cell"], ["0.5000", "1", "comparing"]]
    assert rows[4][0] == "4.0000"
