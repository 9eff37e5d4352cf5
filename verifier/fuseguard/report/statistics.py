"""How often each rule found something."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fuseguard.engine.finding import Finding
from fuseguard.engine.rule import Rule
from fuseguard.gate.result import CheckResult
from fuseguard.ir.value import Value
from fuseguard.report.lines import Line, table
from fuseguard.report.quoting import quoted


class RuleCount(Value, frozen=True):
    """``repairable`` is how many of the findings fuseguard can fix."""

    code: str
    name: str
    severity: str
    findings: int
    repairable: int


def statistics(result: CheckResult) -> list[RuleCount]:
    """One row per rule with findings: the most frequent first, then by code."""
    by_rule: dict[str, list[Finding]] = {}
    for finding in result.findings:
        by_rule.setdefault(finding.code, []).append(finding)
    rows = [
        RuleCount(
            code,
            found[0].name,
            max((finding.severity for finding in found), key=lambda severity: severity.rank).value,
            len(found),
            sum(finding.repairable for finding in found),
        )
        for code, found in by_rule.items()
    ]
    return sorted(rows, key=lambda row: (-row.findings, row.code))


def time_lines(result: CheckResult, rules: Mapping[str, Rule], whole: float) -> Iterator[Line]:
    """How long each rule took, the slowest first, and what else there was of ``whole`` seconds.

    In several processes the rules' times are those of all of them, and may be more than the whole.
    """
    spent = sorted(result.seconds.items(), key=lambda item: (-item[1], item[0]))
    rows = [
        (f"{seconds:.4f}", quoted(code), quoted(rules[code].name if code in rules else "")) for code, seconds in spent
    ]
    total = sum(result.seconds.values())
    yield from table(
        [*rows, (f"{total:.4f}", "", "all rules"), (f"{whole:.4f}", "", "the whole check, reading included")],
        ("seconds", "code", "name"),
    )


def statistics_lines(result: CheckResult) -> Iterator[Line]:
    """The rows as a table and an empty line; nothing when there are none."""
    rows = [
        (str(row.findings), quoted(row.code), quoted(row.name), row.severity, str(row.repairable))
        for row in statistics(result)
    ]
    if rows:
        yield from table(rows, ("findings", "code", "name", "worst", "repairable"))
        yield Line()
