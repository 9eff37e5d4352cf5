"""The SU codes: findings about suppressions and baselines rather than about a program.

They are not instances of :class:`Rule`: they look at no graph and have no effects or examples. They can be explained,
selected and given a severity like any rule.
"""

from __future__ import annotations

from typing import Any

from fuseguard.engine.finding import Effect, Finding, Severity
from fuseguard.engine.fingerprint import fingerprint
from fuseguard.ir.graph import SourceLine
from fuseguard.ir.value import Value


class HousekeepingRule(Value, frozen=True):
    """One SU or PG code. ``message`` is a ``str.format`` template, as a rule's is."""

    code: str
    name: str
    summary: str
    why: str
    remedy: str
    message: str
    severity: Severity = Severity.WARNING
    scope: str = "gate"
    effect: Effect = Effect.UPKEEP
    preview: bool = False
    repairable: bool = False

    def finding(self, origin: SourceLine | None, identity: str, **fields: Any) -> Finding:
        """The finding at ``origin``, a line of a configuration or baseline. ``identity`` goes into its fingerprint:
        what tells it from others of its code, whatever line it is on.
        """
        return Finding(
            code=self.code,
            name=self.name,
            effect=self.effect,
            severity=self.severity,
            nodes=(),
            cluster=(),
            message=self.message.format(**fields),
            remedy=self.remedy,
            source=origin,
            file=origin.file if origin is not None else "",
            fingerprint=fingerprint(self.code, (identity,)),
        )


UNUSED_SUPPRESSION = HousekeepingRule(
    code="SU001",
    name="unused-suppression",
    summary="A suppression matches no finding that is left to suppress.",
    why=(
        "The finding that it was written for has been fixed or renamed, or an earlier suppression matches it. If the "
        "suppression stays, it silently hides the next fault that happens to match. It is reported only if its rule "
        "ran on every file that it may apply to, and all of these could be read."
    ),
    remedy=(
        "Delete the suppression or correct what it matches. If it is for a program that was not checked, name that "
        "program with 'file'."
    ),
    message="the suppression of {rule} for {scope} matches no finding{where}",
)

STALE_BASELINE_ENTRY = HousekeepingRule(
    code="SU002",
    name="stale-baseline-entry",
    summary="A baseline lists a finding that no longer exists.",
    why=(
        "The finding has been fixed, or its place has been renamed. As long as the entry stays, the fault can return "
        "without anybody noticing. An entry is reported only if its rule ran on its file."
    ),
    remedy="Run 'fuseguard baseline prune' on the file, with the same baseline, targets and rules.",
    message="{file} no longer has the finding {rule} at {place}",
)

EXPIRED_SUPPRESSION = HousekeepingRule(
    code="SU003",
    name="expired-suppression",
    summary="A suppression is past its date.",
    why=(
        "The date says until when somebody answers for a suppression. From the day after, it suppresses nothing, and "
        "the findings that it hid are reported again."
    ),
    remedy="Fix the finding and delete the suppression, or decide again and set another date.",
    message="the suppression of {rule} for {scope} ended on {until} and suppresses nothing; its reason was: {reason}",
)

#: Sorted by code.
HOUSEKEEPING: tuple[HousekeepingRule, ...] = (UNUSED_SUPPRESSION, STALE_BASELINE_ENTRY, EXPIRED_SUPPRESSION)
