"""docs/performance.md: the method, the results of tests/bench/results.json, and the record of what was changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from performance_record import CHANGES, TRIED
from performance_rows import BEFORE, ROWS, Row, results

_INTRODUCTION = f"""\
# Performance

`make bench` measures every row of this page in one run and writes the figures to `tests/bench/results.json`.
`tools/generate_docs.py` generates the page from them. A test fails when a row lacks a measurement, or when the page
differs from the figures.

## Method

- Each measurement is a script in `tests/bench/measures`. The bench runs it alternately on this commit and on a work
  tree of commit `{BEFORE}`, the last one before the optimizations. Both use the same Python and the same environment.
- Compare **ratios and counts**. Absolute times come from one machine on one day. Therefore, each row states the
  *loop*: the time of ten million additions in a Python loop during the measurement. The goals were set on a machine
  that needed 0.5 s for it on a fast day and 1.33 s on a slow one.
- Times are processor time unless the row says otherwise, because other processes disturb it less than they disturb
  the clock. The minimum of several runs counts.
- Function calls and imported modules are counted. The counts are the same in every run, and tests limit them:
  `tests/rules/test_linear_work.py`, `tests/repository/test_import_budget.py`.

## Where the time of your own check goes

`fuseguard check model.pt2 --profile` prints four tables to stderr, each sorted by seconds, with the number of
function calls: the modules of the readers, what rules ask of the program (methods of the view, models of the backend),
the rules, and the rest. The report and the exit code stay as they are. Profiling makes a check two to four times
slower, so compare shares and calls; `--time` prints the seconds of the rules without that. `fuseguard prove --profile`
prints how long each step of a proof took.

"""


def performance_page() -> str:
    """The text of the page."""
    found = results()
    parts = [_INTRODUCTION, "## Results\n", *_summary(found), "", *_details(found), *_record()]
    return "\n".join(parts) + "\n"


def _summary(found: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    yield "| what | before | now | goal | reached |"
    yield "| --- | --- | --- | --- | --- |"
    for row in ROWS:
        for goal in row.goals:
            figure = next(item for item in row.figures if item.key == goal.figure)
            before, now = (found.get(row.key, {}).get(when) for when in ("before", "now"))
            then = figure.form.format(before[goal.figure]) if before else row.stated
            current = figure.form.format(now[goal.figure]) if now else "not measured"
            reached = "not measured" if not now else "yes" if goal.met(now, before) else "no"
            yield f"| [{_plain(row)}](#{row.key}): {figure.label} | {then} | {current} | {goal.text} | {reached} |"


def _plain(row: Row) -> str:
    return row.what.replace("`", "")


def _details(found: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    for row in ROWS:
        entry = found.get(row.key, {})
        yield f'<a id="{row.key}"></a>\n'
        yield f"### {row.what}\n"
        yield f"{row.method}\n"
        yield f"Stated before: {row.stated}. Goal: {'; '.join(goal.text for goal in row.goals)}.\n"
        if row.alone:
            yield f"Measured on one commit only. {row.alone}\n"
        columns = [(name, entry[when]) for when, name in (("before", f"`{BEFORE}`"), ("now", "now")) if when in entry]
        if not columns:
            yield "Not measured.\n"
            continue
        yield f"| figure | {' | '.join(name for name, _ in columns)} |"
        yield f"| --- |{' --- |' * len(columns)}"
        for figure in row.figures:
            yield f"| {figure.label} | {' | '.join(figure.form.format(made[figure.key]) for _, made in columns)} |"
        loops = " | ".join(f"{made['loop']:.2f} s" for _, made in columns)
        yield f"| loop of ten million additions | {loops} |"
        yield (
            f"\nMeasured on {entry['date']} with Python {entry['python']} on {entry['processors']} processors, at "
            f"commit `{entry['commit']}`.\n"
        )


def _record() -> Iterator[str]:
    yield "## What was slow, what was changed, and what it gained\n"
    yield "| row | what was slow | what was changed | what it gained |"
    yield "| --- | --- | --- | --- |"
    for change in CHANGES:
        yield f"| [{change.row}](#{change.row}) | {change.slow} | {change.changed} | {change.gained} |"
    if TRIED:
        yield "\nTried, and left out:\n"
        yield from (f"- {text}" for text in TRIED)
