"""What the targets make of a finding, in one sentence."""

from __future__ import annotations

from fuseguard.engine.finding import Effect, Finding


def effects_text(finding: Finding) -> str:
    """``wrong (what that means) on TARGET``; for several targets ``crash on A; wrong on B and C``.

    Empty for a finding that is about no program.
    """
    if finding.effect is Effect.UPKEEP:
        return ""
    if len(finding.outcomes) < 2:
        target = f" on {finding.target}" if finding.target else ""
        return f"{finding.effect.value}{target}: {finding.effect.meaning}"
    by_effect: dict[str, list[str]] = {}
    for outcome in sorted(finding.outcomes, key=lambda item: -item.severity.rank if item.severity else 1):
        by_effect.setdefault(outcome.effect.value if outcome.effect else "nothing found", []).append(outcome.target)
    return "; ".join(f"{effect} on {' and '.join(targets)}" for effect, targets in by_effect.items())


def effects_short(finding: Finding) -> str:
    """``error: wrong``; for several targets ``error: wrong on 2 of 4 targets``."""
    if finding.effect is Effect.UPKEEP:
        return finding.severity.value
    text = f"{finding.severity.value}: {finding.effect.value}"
    if len(finding.outcomes) < 2:
        return text
    same = sum(outcome.effect is finding.effect for outcome in finding.outcomes)
    return f"{text} on {same} of {len(finding.outcomes)} targets"
