"""docs/performance.md is whole: every row of the table has a measurement, and every figure is on the page.

Protects: a row that was added without being measured, a measurement whose script is gone, figures that were changed
without the page. What the figures are is not tested: they are those of one machine on one day.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

import performance_page
from fuseguard_testkit.paths import ROOT
from performance_record import CHANGES
from performance_rows import ROWS, Goal, Row, results

MEASURES = ROOT / "tests" / "bench" / "measures"
PAGE = ROOT / "docs" / "performance.md"


@pytest.mark.parametrize("row", [row for row in ROWS if not row.apart], ids=lambda row: row.key)
def test_every_row_is_measured(row: Row) -> None:
    assert (MEASURES / row.script).is_file()
    entry = results()[row.key]
    for when in ("now",) if row.alone else ("before", "now"):
        assert {figure.key for figure in row.figures} | {"loop"} <= set(entry[when]), when
    assert {goal.figure for goal in row.goals} <= {figure.key for figure in row.figures}


def test_nothing_else_is_measured() -> None:
    assert [row.key for row in ROWS if row.key in results()] == list(results())
    assert {row.script for row in ROWS} == {path.name for path in MEASURES.glob("*.py")}


def test_the_record_is_about_rows() -> None:
    assert CHANGES
    assert {change.row for change in CHANGES} <= {row.key for row in ROWS}


def test_the_page_is_that_of_the_figures() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.endswith(performance_page.performance_page().rstrip() + "\n"), "run tools/generate_docs.py"


def test_a_row_without_a_measurement_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = {key: entry for key, entry in results().items() if key != ROWS[0].key}
    file = tmp_path / "results.json"
    file.write_text(json.dumps(found), encoding="utf-8")
    monkeypatch.setattr(performance_page, "results", lambda: results(file))
    assert "Not measured." in performance_page.performance_page()
    assert performance_page.performance_page() != PAGE.read_text(encoding="utf-8").partition("\n\n")[2]


def test_a_goal_is_an_upper_or_a_lower_bound() -> None:
    most = Goal("x", 2.0, "")
    assert most.met({"x": 2.0})
    assert not most.met({"x": 2.1})
    least = dataclasses.replace(most, at_least=True)
    assert least.met({"x": 2.1})
    assert not least.met({"x": 1.9})
    half = dataclasses.replace(most, bound=0.5, of_before=True)
    assert half.met({"x": 2.0}, {"x": 4.0})
    assert not half.met({"x": 2.1}, {"x": 4.0})
    with pytest.raises(ValueError, match="before"):
        half.met({"x": 2.0})


def test_only_figures_and_their_provenance_are_recorded() -> None:
    for entry in results().values():
        assert set(entry) <= {"date", "python", "processors", "commit", "before", "now"}
        figures = [value for when in ("before", "now") for value in entry.get(when, {}).values()]
        assert all(isinstance(value, int | float) for value in figures)
