"""A rule as JSON-ready data."""

from __future__ import annotations

from typing import Any

from fuseguard.engine.evidence import announced_of
from fuseguard.engine.housekeeping import HousekeepingRule
from fuseguard.engine.row_evidence import RowEvidence, evidence_of
from fuseguard.engine.rule import Rule
from fuseguard.measured.announced import Announcement, Concern


def brief(rule: Rule | HousekeepingRule) -> dict[str, Any]:
    """What ``fuseguard rules`` lists."""
    return {
        "code": rule.code,
        "name": rule.name,
        "scope": rule.scope,
        "preview": rule.preview,
        "repairable": rule.repairable,
        "summary": rule.summary,
    }


def full(rule: Rule, pack: str) -> dict[str, Any]:
    """What ``fuseguard explain`` tells."""
    return {
        **brief(rule),
        "why": rule.why,
        "remedy": rule.remedy,
        "message": rule.message,
        "refused": rule.refused,
        "pack": pack,
        "effects": [_effect(known) for known in evidence_of(rule)],
        "announced": [_announced(*pair) for pair in announced_of(rule.code)],
        "bad_examples": [example.title for example in rule.bad],
        "good_examples": [example.title for example in rule.good],
        "references": list(rule.references),
    }


def _effect(known: RowEvidence) -> dict[str, Any]:
    row = known.row
    return {
        "case": row.case,
        "releases": row.releases,
        "profile": row.profile,
        "effect": row.effect.value,
        "effect_meaning": row.effect.meaning,
        "severity": row.effect.severity.value,
        "evidence": known.evidence.value,
        "measured_on": list(known.measured),
        "announced_from": sorted({announcement.first for announcement, _ in known.announced}),
        "reference": row.reference,
        "unchecked_effect": row.unchecked.value if row.unchecked else None,
    }


def _announced(announcement: Announcement, concern: Concern) -> dict[str, Any]:
    return {
        "pull_request": announcement.pr,
        "date": announcement.date,
        "state": announcement.state,
        "releases": announcement.releases,
        "change": announcement.change,
        "cases": list(concern.cases),
        "profiles": list(concern.profiles),
        "expected": concern.expected or None,
        "basis": concern.basis,
        "condition": concern.condition,
        "appears": concern.appears,
    }


def housekeeping(rule: HousekeepingRule) -> dict[str, Any]:
    """The same for an SU code, which has neither effects nor examples but a severity of its own."""
    return {
        **brief(rule),
        "why": rule.why,
        "remedy": rule.remedy,
        "message": rule.message,
        "severity": rule.severity.value,
        "refused": False,
        "pack": "fuseguard",
        "effects": [],
        "announced": [],
        "bad_examples": [],
        "good_examples": [],
        "references": [],
    }
