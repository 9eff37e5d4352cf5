"""Findings against targets: a row for each finding and a column for each target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fuseguard.engine.finding import Finding, Outcome, Severity
from fuseguard.gate.result import CheckResult
from fuseguard.report.lines import Line, table
from fuseguard.report.quoting import quoted

_ABREAST = 6  # columns of targets; more would not fit next to one another, and get a table of their own


def matrix_lines(result: CheckResult, *, statistics: bool = False) -> Iterator[Line]:
    """The targets with a number and their counts, and below that the effect of every finding on each.

    ``statistics`` puts a row with counts for each rule in the place of the findings' rows.
    """
    yield from table(list(_targets(result)), ("", "errors", "warnings", "notes", "target"))
    yield Line()
    findings = [finding for finding in result.findings if finding.outcomes]
    if not findings:
        return
    for first in range(0, len(result.targets), _ABREAST):
        chosen = range(first, min(first + _ABREAST, len(result.targets)))
        rows = _by_rule(findings, chosen) if statistics else _by_finding(findings, chosen, len(result.programs) > 1)
        heads = ("code", "name") if statistics else ("code", "place")
        yield from table(list(rows), (*heads, *map(_label, chosen)))
        yield Line()


def _label(column: int) -> str:
    return f"({column + 1})"


def _targets(result: CheckResult) -> Iterator[tuple[str, ...]]:
    for column, target in enumerate(result.targets):
        severities = [finding.outcomes[column].severity for finding in result.findings if finding.outcomes]
        yield _label(column), *(str(severities.count(severity)) for severity in Severity), str(target)


def _by_finding(findings: Sequence[Finding], columns: range, several: bool) -> Iterator[tuple[str, ...]]:
    for finding in findings:
        where = str(finding.source) if finding.source else f"node {finding.nodes[0]}" if finding.nodes else ""
        module = f" ({quoted(finding.module)})" if finding.module else ""
        program = f"{quoted(finding.file)}: " if several else ""
        cells = (_cell(finding.outcomes[column]) for column in columns)
        yield quoted(finding.code), f"{program}{quoted(where)}{module}", *cells


def _cell(outcome: Outcome) -> str:
    return outcome.effect.value if outcome.effect else "-"


def _by_rule(findings: Sequence[Finding], columns: range) -> Iterator[tuple[str, ...]]:
    for code in sorted({finding.code for finding in findings}):
        found = [finding for finding in findings if finding.code == code]
        counts = (sum(finding.outcomes[column].effect is not None for finding in found) for column in columns)
        yield quoted(code), quoted(found[0].name), *map(str, counts)
