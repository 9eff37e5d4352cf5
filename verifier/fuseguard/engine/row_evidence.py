"""The evidence for a row of an effects table: where it was measured, and what is announced for later releases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from fuseguard import measured
from fuseguard.engine.agreement import agrees
from fuseguard.engine.effects import EffectRow
from fuseguard.engine.evidence import announced_of
from fuseguard.engine.finding import Evidence
from fuseguard.engine.rule import Rule
from fuseguard.engine.shown import enumerated
from fuseguard.measured import Recordings
from fuseguard.measured.announced import Announcement, Concern
from fuseguard.target import Target

if TYPE_CHECKING:
    from fuseguard.measured.recording import RecordedCase


@dataclass(frozen=True, slots=True)
class RowEvidence:
    """How one row is known.

    ``stated`` is what the row itself says; None leaves it to the recordings. ``measured`` are the releases whose
    recordings confirm the row, oldest first. ``announced`` are the changes that concern it on later releases.
    """

    row: EffectRow
    stated: Evidence | None
    measured: tuple[str, ...]
    announced: tuple[tuple[Announcement, Concern], ...]

    @property
    def evidence(self) -> Evidence:
        """The best grade that the row has on any release."""
        if self.stated is not None:
            return self.stated
        return Evidence.MEASURED if self.measured else Evidence.INFERRED

    def __str__(self) -> str:
        """As a cell of a table: ``measured on 1.2.0 to 1.5.1; announced to change from 1.6``."""
        known = self.evidence.value
        if self.stated is None:
            known = f"measured on {_listed(self.measured)}" if self.measured else "inferred: in no recording"
            if self.row.engine != "tosa":
                known += f", with the engine {self.row.engine}"
        firsts = dict.fromkeys(announcement.first for announcement, _ in self.announced)
        return "; ".join((known, *(f"announced to change from {first}" for first in firsts)))


def _listed(releases: tuple[str, ...]) -> str:
    """``1.2.0 to 1.5.1`` where no recorded release between them is missing; else each by name."""
    among = measured.SHIPPED.releases
    if len(releases) > 2 and releases in (among[start : start + len(releases)] for start in range(len(among))):
        return f"{releases[0]} to {releases[-1]}"
    return enumerated(releases)


def evidence_of(rule: Rule, recordings: Recordings | None = None) -> tuple[RowEvidence, ...]:
    """How each row of the rule's effects table is known, in the order of the rows.

    ``recordings`` are the rule's own, or those that ship, unless others are given.
    """
    found = recordings or rule.recordings or measured.SHIPPED
    shown = rows_shown(rule, found)
    announced: dict[EffectRow, dict[tuple[Announcement, Concern], None]] = {}
    for pair in announced_of(rule.code):
        for row in _rows_announced(rule, *pair):
            announced.setdefault(row, {})[pair] = None
    return tuple(
        RowEvidence(row, row.evidence, row.measured_on or shown.get(row, ()), tuple(announced.get(row, ())))
        for row in rule.effects.rows
    )


def rows_shown(rule: Rule, recordings: Recordings) -> dict[EffectRow, tuple[str, ...]]:
    """The rows that an example of the rule confirms, each with the recorded releases on which it does, oldest first.

    If a release no longer has the fault, a rule may report nothing. Its examples are still judged there, and show the
    cases that they have on other releases.
    """
    bad = {example.title for example in rule.bad}
    by_release = {
        release: [item for item in recordings.recording(release).of_rule(rule.code) if item.example in bad]
        for release in recordings.releases
    }
    elsewhere: dict[tuple[str, str, str], dict[str, None]] = {}
    for items in by_release.values():
        for item in items:
            elsewhere.setdefault(_place(item), {}).update(dict.fromkeys(item.own))
    shown: dict[EffectRow, dict[str, None]] = {}
    for release, items in by_release.items():
        for item in items:
            for case in item.own or elsewhere[_place(item)]:
                row = rule.effects.look_up(case, _target(item.spec, release))
                if agrees(row.effect, item.seen, item.cpu, in_program=rule.in_program):
                    shown.setdefault(row, {})[release] = None
    return {row: tuple(releases) for row, releases in shown.items()}


@lru_cache(maxsize=1024)
def _target(spec: str, release: str) -> Target:
    return Target.parse(spec, release)


def _place(item: RecordedCase) -> tuple[str, str, str]:
    return item.example, item.form, item.profile


def _rows_announced(rule: Rule, announcement: Announcement, concern: Concern) -> Iterator[EffectRow]:
    """The rows that a finding which the change concerns is looked up in, on the first release that has the change."""
    for profile in concern.profiles:
        target = Target.parse(f"TOSA-1.0+{profile}", announcement.first)
        for case in (*rule.effects.cases(), *concern.cases):
            if concern.covers(case, profile):
                try:
                    yield rule.effects.look_up(case, target)
                except KeyError:  # a case that there is on other releases only
                    continue
