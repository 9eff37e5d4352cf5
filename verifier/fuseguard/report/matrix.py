"""Findings against targets: a row for each finding and a column for each target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fuseguard.engine.finding import Finding, Outcome, Severity
from fuseguard.engine.shown import place_of
from fuseguard.gate.result import CheckResult
from fuseguard.report.grouped import WIDTH
from fuseguard.report.lines import Line, fitted_table, table
from fuseguard.report.quoting import quoted

_PLACE = 30  # characters of a place or a name that are shown in any case


def matrix_lines(result: CheckResult, *, statistics: bool = False) -> Iterator[Line]:
    """The targets with a number and their counts, and below that the effect of every finding on each.

    ``statistics`` puts a row with counts for each rule in the place of the findings' rows.
    """
    yield from table(list(_targets(result)), ("", "errors", "warnings", "notes", "target"))
    yield Line()
    findings = [finding for finding in result.findings if finding.outcomes]
    if not findings:
        return
    rows = _by_rule(findings) if statistics else _by_finding(findings, len(result.programs) > 1)
    heads = ("code", "name") if statistics else ("code", "place")
    for chosen in _abreast(heads, rows, len(result.targets)):
        yield from fitted_table(
            [(*row[:2], *(row[2 + column] for column in chosen)) for row in rows],
            (*heads, *map(_label, chosen)),
            WIDTH,
            cut_left=[False, not statistics, *(False for _ in chosen)],  # the end of a path says most
        )
        yield Line()


def _abreast(heads: tuple[str, str], rows: Sequence[Sequence[str]], targets: int) -> Iterator[list[int]]:
    """The targets that fit next to one another, with what names a row in front of them."""
    widths = [max(len(row[column]) for row in rows) for column in range(2 + targets)]
    front = max(widths[0], len(heads[0])) + 2 + min(max(widths[1], len(heads[1])), _PLACE)
    chosen: list[int] = []
    used = front
    for column in range(targets):
        width = 2 + max(widths[2 + column], len(_label(column)))
        if chosen and used + width > WIDTH:
            yield chosen
            chosen, used = [], front
        chosen.append(column)
        used += width
    yield chosen


def _label(column: int) -> str:
    return f"({column + 1})"


def _targets(result: CheckResult) -> Iterator[tuple[str, ...]]:
    for column, target in enumerate(result.targets):
        severities = [finding.outcomes[column].severity for finding in result.findings if finding.outcomes]
        yield _label(column), *(str(severities.count(severity)) for severity in Severity), str(target)


def _by_finding(findings: Sequence[Finding], several: bool) -> list[tuple[str, ...]]:
    rows = []
    for finding in findings:
        where = place_of(finding.source) if finding.source else f"node {finding.nodes[0]}" if finding.nodes else ""
        module = f" ({quoted(finding.module)})" if finding.module else ""
        program = f"{quoted(finding.file)}: " if several else ""
        rows.append((quoted(finding.code), f"{program}{quoted(where)}{module}", *map(_cell, finding.outcomes)))
    return rows


def _cell(outcome: Outcome) -> str:
    return outcome.effect.value if outcome.effect else "-"


def _by_rule(findings: Sequence[Finding]) -> list[tuple[str, ...]]:
    rows = []
    for code in sorted({finding.code for finding in findings}):
        found = [finding.outcomes for finding in findings if finding.code == code]
        name = next(finding.name for finding in findings if finding.code == code)
        counts = (sum(outcome.effect is not None for outcome in of_one) for of_one in zip(*found, strict=True))
        rows.append((quoted(code), quoted(name), *map(str, counts)))
    return rows
