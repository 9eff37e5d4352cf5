"""SARIF 2.1.0, with every field that GitHub code scanning requires and within its limits.

All programs are one run: GitHub takes one run per tool and category. The category is left to who uploads it, since an
``automationDetails.id`` in the file would win over the upload action's ``category``.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

import fuseguard
from fuseguard.engine.finding import Finding, Suppression, SuppressionKind
from fuseguard.engine.shown import counted
from fuseguard.gate.result import CheckResult
from fuseguard.report.effects import effects_text
from fuseguard.report.json_text import indented
from fuseguard.report.locations import Location, Locator, origin
from fuseguard.report.numbers import json_number
from fuseguard.report.options import Options
from fuseguard.report.quoting import array, labelled, name, quoted_tree
from fuseguard.report.sarif_rules import descriptors, shortened

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"

# What GitHub takes in one file (docs: "SARIF results exceed one or more limits").
MAX_RESULTS = 25_000
MAX_GZIPPED = 10 * 1000 * 1000  # bytes
_LONGEST_MESSAGE = 8000  # characters; GitHub states no limit, and a rule of somebody else's may write any number
_BASE = "SRCROOT"


def render(result: CheckResult, options: Options | None = None) -> str:
    """The report as a SARIF log, ending with a newline."""
    return indented(to_dict(result, options or Options()))


def to_dict(result: CheckResult, options: Options) -> dict[str, Any]:
    """The log as JSON-ready data, quoted.

    Findings beyond GitHub's limits are left out, the worst ones last, and counted.
    """
    suppressed = [finding for report in result.reports() for finding in report.suppressed]
    findings = [*_worst_first(result.findings), *_worst_first(suppressed)]
    kept = len(findings[:MAX_RESULTS])
    while True:
        log: dict[str, Any] = quoted_tree(_log(result, options, findings[:kept], len(findings) - kept))
        if kept == 0 or _fits(log):
            if kept < len(findings):
                options.warn(_left_out(len(findings) - kept))
            return log
        kept = kept * 3 // 4


def _left_out(number: int) -> str:
    return (
        f"{counted(number, 'finding')} left out of the SARIF report, the least severe: GitHub's code scanning takes "
        f"{MAX_RESULTS} results and {MAX_GZIPPED // 1_000_000} MB in a file. Other formats hold them all."
    )


def _worst_first(findings: Iterable[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda finding: -finding.severity.rank)


def _fits(log: dict[str, Any]) -> bool:
    text = json.dumps(log).encode()
    return len(text) <= MAX_GZIPPED or len(gzip.compress(text, 6)) <= MAX_GZIPPED


def _log(result: CheckResult, options: Options, findings: Sequence[Finding], left_out: int) -> dict[str, Any]:
    locator = options.locator()
    rules = descriptors(result, options, findings)
    index = {rule["id"]: number for number, rule in enumerate(rules)}
    hashes = _Hashes()
    driver = {
        "name": "fuseguard",
        "version": fuseguard.__version__,
        "rules": rules,
    }
    if re.fullmatch(r"\d+\.\d+\.\d+", fuseguard.__version__):  # a development version is not a semantic one
        driver["semanticVersion"] = fuseguard.__version__
    run = {
        "tool": {"driver": driver},
        "invocations": [_invocation(result, locator, left_out)],
        "originalUriBaseIds": {_BASE: {"description": {"text": "The root of the sources."}}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, index[finding.code], locator, hashes) for finding in findings],
        "properties": {
            "targets": [str(target) for target in result.targets or (result.target,)],
            "policy": result.policy,
        },
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


class _Hashes:
    """GitHub tells alerts apart by one hash alone, so two results of a run must not share one."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def of(self, finding: Finding, program: str) -> str:
        # One source file may be in several programs, and each of these is an alert of its own.
        name = program.rpartition("/")[2]
        text = json.dumps([finding.fingerprint or [finding.code, *finding.nodes], name])
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        self._seen[digest] += 1
        return f"{digest}:{self._seen[digest]}"


def _result(finding: Finding, rule_index: int, locator: Locator, hashes: _Hashes) -> dict[str, Any]:
    program = locator.artifact(finding.file)
    location = locator.locate(finding)
    physical = _physical(location)
    document: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": rule_index,
        "level": finding.severity.value,
        "message": {"text": _message(finding, program, linked=location.line > 0 and location.path != program)},
        "locations": [{"physicalLocation": physical, "logicalLocations": _logical(finding)}],
        "partialFingerprints": {"primaryLocationLineHash": hashes.of(finding, program)},
        "properties": _properties(finding),
    }
    if finding.fingerprint:
        document["fingerprints"] = {"fuseguard": finding.fingerprint}
    if finding.suppression is not None:
        document["suppressions"] = [_suppression(finding.suppression, locator)]
    if location.line and location.path != program:
        document["relatedLocations"] = [
            {"id": 1, "physicalLocation": _physical(Location(program)), "message": {"text": f"in {program}"}}
        ]
    return document


def _message(finding: Finding, program: str, *, linked: bool) -> str:
    """Plain text with one link, to the program; brackets of anything else are escaped as SARIF asks for."""
    where = f"[{_escaped(program)}](1)" if linked else _escaped(program)
    node = f", node {_escaped(name(finding.nodes[0]))}" if finding.nodes else ""
    inside = f", {_escaped(place)}" if (place := origin(finding)) else ""
    text = _escaped(shortened(finding.message, _LONGEST_MESSAGE))
    follows = f" Follows from {finding.caused_by} at the same place." if finding.caused_by else ""
    effects = effects_text(finding)
    effects = f" Effect: {_escaped(effects)}." if effects else ""
    return f"{text} ({where}{node}{inside}).{effects}{follows} {_escaped(finding.remedy)}".rstrip()


def _suppression(suppression: Suppression, locator: Locator) -> dict[str, Any]:
    """As in SARIF 3.35. GitHub does not read it: there, such a result is an alert like any other."""
    kind = suppression.kind.value
    until = f" (until {suppression.until.isoformat()})" if suppression.until else ""
    document: dict[str, Any] = {
        "kind": "external",
        # A finding that is to be fixed, or was never looked at, has not been accepted by anybody.
        "status": "accepted" if suppression.kind is SuppressionKind.IGNORE else "underReview",
        "justification": f"{kind}: {suppression.reason or 'already known'}{until}",
    }
    origin = suppression.origin
    if origin is not None:
        document["location"] = {"physicalLocation": _physical(Location(locator.artifact(origin.file), origin.line))}
    return document


def _escaped(text: str) -> str:
    return re.sub(r"([\\\[\]])", r"\\\1", text)


def _physical(location: Location) -> dict[str, Any]:
    line = max(location.line, 1)
    return {
        "artifactLocation": {"uri": quote(location.path, errors="backslashreplace"), "uriBaseId": _BASE},
        "region": {
            "startLine": line,
            "startColumn": location.column if location.line else 1,
            "endLine": line,
            "endColumn": location.end_column if location.line else 1,
        },
    }


def _logical(finding: Finding) -> list[dict[str, Any]]:
    """The node in its control-flow body, and the module that made it."""
    places: list[dict[str, Any]] = []
    if finding.nodes:
        node = name(finding.nodes[0])
        path = f"{name(finding.graph)}/{node}" if finding.graph else node
        places.append({"name": node, "fullyQualifiedName": path, "kind": "member"})
    if finding.module:
        places.append({"fullyQualifiedName": name(finding.module), "kind": "module"})
    return places


def _properties(finding: Finding) -> dict[str, Any]:
    return {
        "effect": finding.effect.value,
        "case": finding.case,
        "evidence": finding.evidence.value if finding.evidence else None,
        "evidenceNote": finding.evidence_note,
        "evidenceRelease": finding.evidence_release or None,
        "target": finding.target,
        "outcomes": {outcome.target: outcome.effect.value if outcome.effect else None for outcome in finding.outcomes},
        "outcomeEvidence": {
            outcome.target: outcome.evidence.value if outcome.evidence else None for outcome in finding.outcomes
        },
        "nodes": array(finding.nodes),
        "cluster": array(finding.cluster),
        "island": name(finding.island),
        "qparams": {name(label): value for label, value in labelled(finding.qparams)},
        "boundSteps": json_number(finding.bound_steps),
        "boundValue": json_number(finding.bound_value),
        "repairable": finding.repairable,
        "unsafeRepair": finding.unsafe_repair,
        "refused": finding.refuse,
        "causedBy": finding.caused_by,
    }


def _invocation(result: CheckResult, locator: Locator, left_out: int) -> dict[str, Any]:
    notifications = []
    for file in result.files:
        path = locator.artifact(file.file)
        if file.error is not None:
            message = file.error.message.removeprefix(f"{file.file}: ")
            notifications.append(_notification("error", f"{file.error.kind}: {message}", path))
        for failure in file.report.failures if file.report else ():
            where = f" in {failure.graph}" if failure.graph else ""
            text = f"rule {failure.code} failed{where}: {failure.error}. What it would have found is missing."
            notifications.append(_notification("error", text, path))
        notices = file.report.notices if file.report else ()
        notifications.extend(_notification("note", notice, path) for notice in notices)
    if left_out:
        notifications.append(_notification("warning", _left_out(left_out)))
    broken = any(file.error is not None for file in result.files) or result.failures > 0
    return {
        "executionSuccessful": not broken,
        "exitCode": result.exit_code,
        "toolExecutionNotifications": notifications,
    }


def _notification(level: str, text: str, path: str = "") -> dict[str, Any]:
    document: dict[str, Any] = {"level": level, "message": {"text": _escaped(text)}}
    if path:
        document["locations"] = [{"physicalLocation": _physical(Location(path))}]
    return document
