"""What another ExecuTorch release makes of a program: what it breaks, what it fixes, what stays."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from fuseguard.engine.finding import Finding, Outcome, Severity
from fuseguard.engine.run import Report
from fuseguard.target import Target


class Change(str, enum.Enum):
    """What becomes of a place, the gravest first."""

    BREAKS = "breaks"  # no error before, one after
    STAYS = "stays"  # an error before and after
    SHIFTS = "shifts"  # an error on neither, but not the same effect
    FIXED = "fixed"  # an error before, none after
    SAME = "same"  # an error on neither, and the same effect


@dataclass(frozen=True, slots=True)
class Step:
    """What one target makes of a place with the release before and the release after."""

    target: str
    before: Outcome
    after: Outcome

    @property
    def change(self) -> Change:
        was, becomes = (outcome.severity is Severity.ERROR for outcome in (self.before, self.after))
        if becomes:
            return Change.STAYS if was else Change.BREAKS
        if was:
            return Change.FIXED
        return Change.SAME if self.before.effect is self.after.effect else Change.SHIFTS


@dataclass(frozen=True, slots=True)
class Place:
    """A finding's place on all targets."""

    finding: Finding
    steps: tuple[Step, ...]

    @property
    def change(self) -> Change:
        """The gravest on any target."""
        return min((step.change for step in self.steps), key=list(Change).index)


@dataclass(frozen=True, slots=True)
class Upgrade:
    """All places of one program. ``hidden`` are those that a suppression keeps from being told."""

    report: Report
    places: tuple[Place, ...]
    hidden: tuple[Place, ...] = ()

    def of(self, change: Change) -> tuple[Place, ...]:
        return tuple(place for place in self.places if place.change is change)


def compare(report: Report) -> Upgrade:
    """What changes between the two releases. ``report.targets`` are pairs: each target before, then after."""
    pairs = list(zip(report.targets[::2], report.targets[1::2], strict=True))
    return Upgrade(report, _places(report.findings, pairs), _places(report.suppressed, pairs))


def _places(findings: Iterable[Finding], pairs: list[tuple[Target, Target]]) -> tuple[Place, ...]:
    places = []
    for finding in findings:
        steps = []
        for number, (target, _) in enumerate(pairs):
            before, after = finding.outcomes[2 * number : 2 * number + 2]
            steps.append(Step(target.name, before, after))
        places.append(Place(finding, tuple(steps)))
    return tuple(places)
