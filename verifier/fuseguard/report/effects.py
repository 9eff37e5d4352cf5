"""The effect of a finding on its targets and how it is known, in one sentence."""

from __future__ import annotations

from fuseguard.engine.finding import Effect, Evidence, Finding, Outcome
from fuseguard.engine.shown import enumerated


def effects_text(finding: Finding) -> str:
    """``wrong (what that means) on TARGET``; for several targets ``crash on A; wrong on B and C``.

    An effect that nobody measured on its release says how it is known. Empty for one about a suppression.
    """
    if not finding.effect.of_backend:
        return finding.effect.meaning if finding.effect is Effect.RUNS_CODE else ""
    if len(finding.outcomes) < 2:
        target = f" on {finding.target}" if finding.target else ""
        return f"{finding.effect.value}{target}: {finding.effect.meaning}{_grade(finding)}"
    by_effect: dict[str, list[str]] = {}
    for outcome in sorted(finding.outcomes, key=lambda item: -item.severity.rank if item.severity else 1):
        effect = outcome.effect.value if outcome.effect else "nothing found"
        by_effect.setdefault(effect, []).append(f"{outcome.target}{_grade(outcome)}")
    return "; ".join(f"{effect} on {enumerated(targets)}" for effect, targets in by_effect.items())


def evidence_text(item: Finding | Outcome) -> str:
    """``measured (CheckProperQuantization)``, ``inferred from 1.5.1 (...)``; "" for what has no evidence."""
    if item.evidence is None:
        return ""
    note = f" ({item.evidence_note})" if item.evidence_note else ""
    return f"{_graded(item)}{note}"


def _grade(item: Finding | Outcome) -> str:
    """`` (inferred from 1.5.1)`` for what was not measured on its release, "" for the rest."""
    if item.evidence not in (Evidence.INFERRED, Evidence.ANNOUNCED):
        return ""
    announced = item.evidence is Evidence.ANNOUNCED
    return f" ({f'announced to change: {item.evidence_note}' if announced else _graded(item)})"


def _graded(item: Finding | Outcome) -> str:
    if item.evidence is Evidence.INFERRED:
        return f"inferred from {item.evidence_release}" if item.evidence_release else "inferred, in no recording"
    return item.evidence.value if item.evidence else ""


def effects_short(finding: Finding) -> str:
    """``error: wrong``; for several targets ``error: wrong on 2 of 4 targets``."""
    if not finding.effect.of_backend:
        return finding.severity.value
    text = f"{finding.severity.value}: {finding.effect.value}"
    if len(finding.outcomes) < 2:
        return text
    same = sum(outcome.effect is finding.effect for outcome in finding.outcomes)
    return f"{text} on {same} of {len(finding.outcomes)} targets"
