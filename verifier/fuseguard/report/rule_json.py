"""A rule as JSON-ready data."""

from __future__ import annotations

from typing import Any

from fuseguard.engine.housekeeping import HousekeepingRule
from fuseguard.engine.rule import Rule


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
        "effects": [
            {
                "case": row.case,
                "releases": row.releases,
                "profile": row.profile,
                "effect": row.effect.value,
                "effect_meaning": row.effect.meaning,
                "severity": row.effect.severity.value,
                "evidence": row.evidence.value,
                "reference": row.reference,
            }
            for row in rule.effects.rows
        ],
        "bad_examples": [example.title for example in rule.bad],
        "good_examples": [example.title for example in rule.good],
        "references": list(rule.references),
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
        "bad_examples": [],
        "good_examples": [],
        "references": [],
    }
