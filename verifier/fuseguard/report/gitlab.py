"""GitLab's code quality report: a JSON array, shown in merge requests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from fuseguard.engine.finding import Finding, Severity
from fuseguard.gate.result import CheckResult
from fuseguard.report.effects import effects_text
from fuseguard.report.json_text import indented
from fuseguard.report.locations import Location, Locator, origin
from fuseguard.report.options import Options
from fuseguard.report.quoting import name, quoted_tree

_SEVERITIES = {Severity.ERROR: "critical", Severity.WARNING: "minor", Severity.NOTE: "info"}


def render(result: CheckResult, options: Options | None = None) -> str:
    """The report, ending with a newline."""
    locator = (options or Options()).locator()
    seen: dict[str, int] = {}
    issues = []
    for issue in (*_errors(result, locator), *(_finding(finding, locator) for finding in result.findings)):
        # GitLab drops all but one of the issues that share a fingerprint.
        count = seen[issue["fingerprint"]] = seen.get(issue["fingerprint"], 0) + 1
        issues.append(issue if count == 1 else {**issue, "fingerprint": _digest(issue["fingerprint"], count)})
    return indented(quoted_tree(issues))


def _errors(result: CheckResult, locator: Locator) -> Iterator[dict[str, Any]]:
    """A file that was not checked must not look like one without faults."""
    for file in result.files:
        place = Location(locator.artifact(file.file))
        if file.error is not None:
            text = file.error.message.removeprefix(f"{file.file}: ")
            yield _issue(file.error.kind, text, "blocker", place, _digest(file.error.kind, place.path))
        for failure in file.report.failures if file.report else ():
            text = f"rule {failure.code} failed: {failure.error}. What it would have found is missing."
            digest = _digest("rule-failure", failure.code, failure.graph, place.path)
            yield _issue("rule-failure", text, "blocker", place, digest)


def _finding(finding: Finding, locator: Locator) -> dict[str, Any]:
    file = locator.artifact(finding.file)
    node = f", node {name(finding.nodes[0])}" if finding.nodes else ""
    effects = effects_text(finding)
    inside = f", {place}" if (place := origin(finding)) else ""
    text = f"{finding.code} {finding.message} ({file}{node}{inside}{f'; {effects}' if effects else ''})"
    digest = _digest(finding.fingerprint or [finding.code, *finding.nodes], file.rpartition("/")[2])
    return _issue(
        f"{finding.code} {finding.name}", text, _SEVERITIES[finding.severity], locator.locate(finding), digest
    )


def _issue(name: str, text: str, severity: str, place: Location, fingerprint: str) -> dict[str, Any]:
    return {
        "description": text,
        "check_name": name,
        "fingerprint": fingerprint,
        "severity": severity,
        "location": {"path": place.path, "lines": {"begin": max(place.line, 1)}},
    }


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
