"""What is new and what is gone between two programs, usually two exports of one model."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from fuseguard.engine.finding import Finding
from fuseguard.engine.run import Report


class Change(str, enum.Enum):
    """What became of a finding, the most severe first."""

    NEW = "new"
    WORSE = "worse"  # there before too, less severe
    MILDER = "milder"  # there before too, more severe
    GONE = "gone"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class Pair:
    """One finding in the program before and in the one after; None where it is not there. One of them is."""

    before: Finding | None
    after: Finding | None

    @property
    def finding(self) -> Finding:
        """As it is after, or was before if it is gone."""
        found = self.before if self.after is None else self.after
        assert found is not None
        return found

    @property
    def change(self) -> Change:
        if self.before is None:
            return Change.NEW
        if self.after is None:
            return Change.GONE
        was, becomes = self.before.severity.rank, self.after.severity.rank
        if becomes == was:
            return Change.SAME
        return Change.WORSE if becomes > was else Change.MILDER


def compare(before: Report, after: Report) -> tuple[Pair, ...]:
    """The findings of both reports, matched by fingerprint: those of ``after`` in its order, then those that are gone.

    What is suppressed in one of them is left out: it is neither new nor gone.
    """
    was = {finding.fingerprint: finding for finding in before.findings}
    becomes = {finding.fingerprint for finding in after.findings}
    hidden = {finding.fingerprint for report in (before, after) for finding in report.suppressed}
    pairs = [Pair(was.get(finding.fingerprint), finding) for finding in after.findings]
    gone = [Pair(finding, None) for finding in before.findings if finding.fingerprint not in becomes]
    return tuple(pair for pair in (*pairs, *gone) if pair.finding.fingerprint not in hidden)
