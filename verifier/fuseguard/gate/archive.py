"""Findings about the file of a program, and which of them are accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from fuseguard.engine.archive_rules import ARCHIVE_RULES, archive_finding
from fuseguard.engine.finding import Finding, Outcome, Severity, Suppression, SuppressionKind
from fuseguard.engine.nearest import nearest
from fuseguard.engine.registry import SelectorError, matches
from fuseguard.engine.rule import Rule
from fuseguard.engine.run import Report
from fuseguard.ir.graph import Graph
from fuseguard.target import Target


def code_to_allow(name: str) -> str:
    """The AR code that ``name`` is or names. Raises SelectorError: a prefix would accept more than was looked at."""
    wanted = name.strip()
    for rule in ARCHIVE_RULES:
        if wanted.upper() == rule.code or wanted.lower() == rule.name:
            return rule.code
    hint = nearest(wanted, [key for rule in ARCHIVE_RULES for key in (rule.code, rule.name)])
    valid = ", ".join(rule.code for rule in ARCHIVE_RULES)
    raise SelectorError(f"allow-code {name!r} is not the code of a finding about files. {hint} Valid are {valid}.")


def check_not_ignored(ignored: Iterable[str], rules: Sequence[Rule]) -> None:
    """Raises SelectorError for a selector of ``ignore`` that names only AR codes."""
    for selector in ignored:
        about_files = any(matches(rule, selector) for rule in ARCHIVE_RULES)
        if about_files and not any(matches(rule, selector) for rule in rules):
            raise SelectorError(
                f"{selector!r} is about what loading a file would run, which is always checked; accept a code with "
                f"allow-code."
            )


def with_file(
    report: Report, graph: Graph, allowed: Iterable[str], severity_of: Callable[[str], Severity | None]
) -> Report:
    """The report with the AR findings of the file before all others, or among the suppressed if they are accepted.

    ``severity_of`` gives the severity that the user chose for a code, if any.
    """
    if not graph.hazards:
        return report
    accepted = set(allowed)
    found = [_on_all(archive_finding(hazard, report.file), report.targets, severity_of) for hazard in graph.hazards]
    kept = [finding for finding in found if finding.code not in accepted]
    suppressed = [_accepted(finding) for finding in found if finding.code in accepted]
    return replace(report, findings=(*kept, *report.findings), suppressed=(*suppressed, *report.suppressed))


def _on_all(finding: Finding, targets: Sequence[Target], severity_of: Callable[[str], Severity | None]) -> Finding:
    """The finding, which is the same on every target."""
    severity = severity_of(finding.code) or finding.severity
    outcomes = tuple(Outcome(str(target), effect=finding.effect, severity=severity) for target in targets)
    return replace(finding, severity=severity, outcomes=outcomes)


def _accepted(finding: Finding) -> Finding:
    told = Suppression(SuppressionKind.IGNORE, "accepted with allow-code", scope=f"{finding.code} in every file")
    return replace(finding, suppression=told)
