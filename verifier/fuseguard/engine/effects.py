"""Effects tables: what the backend does with a violation, by case, release range and profile.

A rule has a table of what was measured. One more table, of all rules, has what upstream changes are announced to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fuseguard.engine.finding import Effect, Evidence
from fuseguard.measured.announced import ANNOUNCED, Announcement, Concern
from fuseguard.ranges import check_range
from fuseguard.target import Target


def is_in_force(releases: str, target: Target) -> bool:
    """Whether what is stated for a range of releases (``>=1.3,<1.5``, or "*") holds on the target's release.

    Only effects tables and the examples that show their rows are stated for releases. Everything else in this package
    asks a table.
    """
    return target.release_in(releases)


@dataclass(frozen=True, slots=True)
class EffectRow:
    """One line of a rule's effects table.

    ``case`` names which form of the violation it is about ("*" for all); ``releases`` is a version range as
    in PEP 440 (``>=1.3,<1.5``), ``profile`` is ``INT``, ``INT+FP`` or "*". ``reference`` names the pass, the
    commit or the upstream issue. ``unchecked`` is the effect with ``EdgeCompileConfig(_check_ir_validity=False)``,
    where it differs from ``effect``, which is that of the default; None where it is the same.

    ``engine`` is what shows the effect. Recordings are of the TOSA reference model; an effect that only another engine
    shows is measured on the releases in ``measured_on``, which a test of that engine holds it to.
    """

    case: str
    releases: str
    profile: str
    effect: Effect
    evidence: Evidence | None = None
    reference: str = ""
    unchecked: Effect | None = None
    engine: str = "tosa"
    measured_on: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """An invalid table must fail when its pack is loaded, not in a check.

        Raises InvalidSpecifier for a bad range, ValueError for evidence that no table can state.
        """
        check_range(self.releases)
        if self.evidence is Evidence.MEASURED:
            # What rule packs stated before recordings existed: no row can be measured on every future release.
            object.__setattr__(self, "evidence", None)
        elif self.evidence in (Evidence.INFERRED, Evidence.ANNOUNCED):
            raise ValueError(f"a row cannot state the evidence {self.evidence.value!r}; leave it out")

    def effect_on(self, target: Target) -> Effect:
        """The effect on a target that the row applies to."""
        return self.effect if self.unchecked is None or target.ir_validity else self.unchecked

    @property
    def condition(self) -> str:
        """What else the effect depends on apart from the target, in words; "" if nothing."""
        if self.unchecked is None:
            return ""
        return f"only with ExecuTorch's default _check_ir_validity=True; {self.unchecked.value} with False"

    def applies(self, case: str, target: Target) -> bool:
        return self.case in ("*", case) and self.profile in ("*", target.profile) and is_in_force(self.releases, target)


class EffectsTable:
    """Rows in order of precedence: the first that applies wins."""

    def __init__(self, rows: Iterable[EffectRow]) -> None:
        self.rows: tuple[EffectRow, ...] = tuple(rows)

    def look_up(self, case: str, target: Target) -> EffectRow:
        """The row for a case on a target. Raises KeyError if the table has a gap."""
        for row in self.rows:
            if row.applies(case, target):
                return row
        raise KeyError(f"no effect recorded for case {case!r} on {target}")

    def cases(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(row.case for row in self.rows))


class AnnouncedEffects:
    """The effects that upstream changes are announced to have, by rule."""

    def __init__(self, announcements: Iterable[Announcement]) -> None:
        self._by_rule: dict[str, tuple[tuple[Announcement, Concern], ...]] = {}
        for announcement in announcements:
            for concern in announcement.concerns:
                self._by_rule[concern.rule] = (*self.of_rule(concern.rule), (announcement, concern))

    def of_rule(self, code: str) -> tuple[tuple[Announcement, Concern], ...]:
        """The changes that concern a rule, on whatever release."""
        return self._by_rule.get(code, ())

    def look_up(self, code: str, case: str, target: Target) -> Iterator[tuple[Announcement, Concern]]:
        """The changes of the target's release that may concern a finding of this rule and case."""
        for announcement, concern in self.of_rule(code):
            if concern.covers(case, target.profile) and is_in_force(announcement.releases, target):
                yield announcement, concern


ANNOUNCED_EFFECTS = AnnouncedEffects(ANNOUNCED)
