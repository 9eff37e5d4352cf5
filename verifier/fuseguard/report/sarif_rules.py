"""Rules as SARIF reporting descriptors, with all that GitHub code scanning shows of one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fuseguard.engine.archive_rules import ARCHIVE_RULES
from fuseguard.engine.finding import Evidence, Finding, Severity
from fuseguard.engine.housekeeping import HOUSEKEEPING, HousekeepingRule
from fuseguard.engine.program_rules import PROGRAM_RULES
from fuseguard.engine.row_evidence import evidence_of
from fuseguard.engine.rule import Rule
from fuseguard.gate.result import CheckResult
from fuseguard.report.options import Options
from fuseguard.report.rule_markdown import rule_markdown

_LONGEST = 1024  # characters of a description that GitHub takes
_LONGEST_NAME = 255
_PROBLEM = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "recommendation"}
#: The first two letters of a code -> what its rules are about.
_FAMILIES = {
    "FU": "fusion", "QD": "quantization-domain", "QP": "quantization-parameters", "PL": "placement", "DT": "dtype",
    "BO": "delegate-boundary", "OP": "operator", "AR": "archive-safety", "SU": "upkeep", "PG": "program",
}  # fmt: skip


def descriptors(result: CheckResult, options: Options, findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """A descriptor for every rule that ran or found something, in order of their codes.

    Rules without findings are there too: GitHub lists what was looked for.
    """
    found = {finding.code: finding for finding in findings}
    codes = {*result.rules, *found}
    upkeep = {rule.code: rule for rule in (*ARCHIVE_RULES, *PROGRAM_RULES, *HOUSEKEEPING)}
    releases = {target.release.public for target in result.targets or (result.target,)}
    rules = options.rules
    return [
        _described(rules[code], releases) if code in rules else _named(code, found.get(code), upkeep.get(code))
        for code in sorted(codes)
    ]


def _described(rule: Rule, releases: set[str]) -> dict[str, Any]:
    worst = max((row.effect.severity for row in rule.effects.rows), key=lambda s: s.rank, default=Severity.WARNING)
    known = evidence_of(rule)
    measured = any(row.evidence is Evidence.MEASURED and releases & set(row.measured) for row in known)
    markdown = rule_markdown(rule)
    properties: dict[str, Any] = {
        "tags": _tags(rule.code),
        "precision": "very-high" if measured else "high",
        "problem": {"severity": _PROBLEM[worst]},
        "scope": rule.scope,
        "repairable": rule.repairable,
    }
    properties |= _security(rule.code, worst)
    return {
        "id": rule.code,
        "name": rule.name[:_LONGEST_NAME],
        "shortDescription": {"text": shortened(rule.summary)},
        "fullDescription": {"text": shortened(rule.why)},
        "help": {"text": f"{rule.why}\n\n{rule.remedy}", "markdown": markdown},
        "defaultConfiguration": {"level": worst.value},
        "properties": properties,
    }


def _named(code: str, finding: Finding | None, upkeep: HousekeepingRule | None) -> dict[str, Any]:
    """For an AR or SU code, and for a rule whose class is not at hand. GitHub refuses empty texts."""
    name = upkeep.name if upkeep else (finding.name if finding else "") or code
    summary = upkeep.summary if upkeep else name.replace("-", " ")
    why = upkeep.why if upkeep else summary
    remedy = upkeep.remedy if upkeep else (finding.remedy if finding else "") or f"See 'fuseguard explain {code}'."
    severity = finding.severity if finding else Severity.WARNING
    return {
        "id": code,
        "name": name[:_LONGEST_NAME],
        "shortDescription": {"text": shortened(summary)},
        "fullDescription": {"text": shortened(why)},
        "help": {"text": remedy, "markdown": f"{why}\n\n{remedy}\n"},
        "defaultConfiguration": {"level": severity.value},
        "properties": {
            "tags": _tags(code),
            "precision": "high",
            "problem": {"severity": _PROBLEM[severity]},
            **_security(code, severity),
        },
    }


def _security(code: str, severity: Severity) -> dict[str, str]:
    """GitHub takes every rule with this property for one about security."""
    return {"security-severity": "7.0" if severity is Severity.ERROR else "4.0"} if code.startswith("AR") else {}


def _tags(code: str) -> list[str]:
    family = _FAMILIES.get(code[:2])
    return ["quantization", "executorch", *([family] if family else [])]


def shortened(text: str, longest: int = _LONGEST) -> str:
    """``text`` within GitHub's limit, with an ellipsis where it was cut."""
    return text if len(text) <= longest else f"{text[: longest - 3].rstrip()}..."
