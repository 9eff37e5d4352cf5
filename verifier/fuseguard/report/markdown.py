"""Markdown for a job's summary: ``fuseguard check ... --output-format markdown >> "$GITHUB_STEP_SUMMARY"``.

Findings with one cause share an entry: what is wrong, what to do, and a table of places. GitHub takes 1 MiB of summary
for a step; places beyond :data:`MAX_PLACES` are counted instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fuseguard.engine.finding import Finding
from fuseguard.engine.shown import counted, place_of
from fuseguard.gate.result import CheckResult, FileResult
from fuseguard.report.effects import effects_text
from fuseguard.report.grouped import groups, ops, repairs_known, worst
from fuseguard.report.locations import Locator
from fuseguard.report.markdown_text import code, prose
from fuseguard.report.next_step import next_lines
from fuseguard.report.options import Options
from fuseguard.report.statistics import statistics
from fuseguard.report.text import repair_known, summary

#: Places that are listed, of all entries together, and entries. Each takes at most about 1.5 kB.
MAX_PLACES = 400
MAX_ENTRIES = 60

_SIGNS = {"error": "❌", "warning": "⚠️", "note": "💡"}
_HEADER = ("module", "line", "ops", "worst error")


def render(result: CheckResult, options: Options | None = None) -> str:
    """The report, ending with a newline."""
    return "".join(f"{line}\n" for line in _lines(result, options or Options()))


def _lines(result: CheckResult, options: Options) -> Iterator[str]:
    yield "## fuseguard"
    yield ""
    if not options.quiet:
        yield prose(summary(result).text)
        yield ""
    left = _Left()
    locator = options.locator()
    for file in result.files:
        yield from _file(file, options, locator, left)
    if options.statistics:
        yield from _statistics(result)
    if left.places:
        text = f"{counted(left.places, 'finding')} left out of the Markdown report; other formats hold them all."
        options.warn(text)
        yield f"*{prose(text)}*"
        yield ""
    if not options.quiet:
        for line in next_lines(result):
            yield f"**{prose(line.text)}**"
            yield ""


class _Left:
    """What still fits, and what was left out."""

    def __init__(self) -> None:
        self.room = MAX_PLACES
        self.entry_room = MAX_ENTRIES
        self.places = 0


def _file(result: FileResult, options: Options, locator: Locator, left: _Left) -> Iterator[str]:
    report = result.report
    if result.error is not None:
        yield f"{_SIGNS['error']} {code(locator.artifact(result.file))}: {prose(result.trouble)}"
        yield ""
    if report is None:
        return
    findings = () if options.statistics else report.findings
    if findings or report.failures or (report.notices and not options.quiet):
        yield f"### {code(locator.artifact(result.file)) or 'program'}"
        yield ""
    for group in groups(findings):
        if not left.entry_room:
            left.places += len(group)
            continue
        left.entry_room -= 1
        yield from _entry(group, locator, left)
    for failure in report.failures:
        yield f"{_SIGNS['error']} rule {code(failure.code)} failed: {prose(failure.error)}"
        yield ""
    for notice in () if options.quiet else report.notices:
        yield f"{_SIGNS['note']} {prose(notice)}"
        yield ""


def _entry(findings: Sequence[Finding], locator: Locator, left: _Left) -> Iterator[str]:
    first = findings[0]
    places = f" ({len(findings)} places)" if len(findings) > 1 else ""
    yield f"#### {_SIGNS[first.severity.value]} {code(first.code)} {prose(first.name)}{places}"
    yield ""
    same = len({finding.message for finding in findings}) == 1
    yield f"{'' if same else 'For example: '}{prose(first.message)}"
    yield ""
    effect = effects_text(first)
    if effect:
        yield f"- **Effect:** {prose(effect)}"
    if first.caused_by:
        yield f"- **Follows from:** {code(first.caused_by)}"
    yield f"- **Remedy:** {prose(first.remedy)}"
    if first.effect.of_backend:
        known = repair_known(first) if len(findings) == 1 else repairs_known(findings)
        yield f"- **Repair:** {prose(known)}"
    yield ""
    rows = [_row(finding, locator) for finding in findings[: left.room]]
    left.room -= len(rows)
    left.places += len(findings) - len(rows)
    yield from _table(rows)


def _row(finding: Finding, locator: Locator) -> tuple[str, ...]:
    location = locator.locate(finding)
    place = f"{location.path}:{location.line}" if location.line else ""
    if not place and finding.source is not None:
        place = place_of(finding.source)
    return code(finding.module), code(place), code(ops(finding)), prose(worst(finding))


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """The columns that have something in them."""
    used = [column for column in range(len(_HEADER)) if any(row[column] for row in rows)]
    if not used:
        return
    yield f"| {' | '.join(_HEADER[column] for column in used)} |"
    yield f"|{' --- |' * len(used)}"
    for row in rows:
        yield f"| {' | '.join(row[column] for column in used)} |"
    yield ""


def _statistics(result: CheckResult) -> Iterator[str]:
    rows = statistics(result)
    if rows:
        yield "| findings | code | name | worst | repairable |"
        yield "| --- | --- | --- | --- | --- |"
        for row in rows:
            yield f"| {row.findings} | {code(row.code)} | {prose(row.name)} | {row.severity} | {row.repairable} |"
        yield ""
