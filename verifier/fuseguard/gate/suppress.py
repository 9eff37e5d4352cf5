"""Suppressions: findings that somebody has reviewed and decided not to see again, each with a reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fnmatch import fnmatchcase
from pathlib import PurePath
from typing import TypeAlias

from fuseguard.engine.archive_rules import ARCHIVE_RULES
from fuseguard.engine.finding import Finding, Suppression, SuppressionKind
from fuseguard.engine.housekeeping import EXPIRED_SUPPRESSION, HOUSEKEEPING, UNUSED_SUPPRESSION
from fuseguard.engine.registry import Registry
from fuseguard.engine.run import Report
from fuseguard.ir.graph import Graph, SourceLine

#: File -> its report, or None where the file could not be checked.
Results: TypeAlias = Mapping[str, "Report | None"]

#: What says where a suppression holds; at least one is needed.
SCOPES: tuple[str, ...] = ("module", "op", "node")


class SuppressionError(ValueError):
    """A suppression that is refused.

    Attributes:
        key: the key that is at fault.
    """

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True, slots=True)
class SuppressionRule:
    """Suppresses the findings of one rule in one place.

    At least one of ``module``, ``op`` and ``node`` is needed. All that are given must match; ``*`` matches dots too.

    Attributes:
        rule: a code or name.
        reason: why the finding may stay.
        module: a glob for the module path.
        op: a glob for the kind (``relu``) or the target (``aten.relu.default``) of one of the finding's nodes.
        node: a glob for the name of one of the finding's nodes.
        file: a glob for the end of the file's path; "" means every file.
        kind: whether the finding is to stay (``ignore``) or to be fixed later (``fixme``).
        until: the last day on which the suppression holds; None means for ever.
        origin: the line of the configuration that it comes from.

    Raises:
        SuppressionError: it has no rule, no place or no reason, or matches everything.
    """

    rule: str
    reason: str
    module: str = ""
    op: str = ""
    node: str = ""
    file: str = ""
    kind: SuppressionKind = SuppressionKind.IGNORE
    until: date | None = None
    origin: SourceLine | None = None

    def __post_init__(self) -> None:
        """Raises SuppressionError for one without rule, place or reason, or that matches everything."""
        if not self.rule.strip():
            raise SuppressionError("rule", "names no rule: a suppression of all rules would hide unknown faults.")
        if not self.reason.strip():
            raise SuppressionError("reason", "has no reason; say why the finding may stay, for the next reader.")
        if self.kind is SuppressionKind.BASELINE:
            raise SuppressionError("kind", "is of kind 'baseline'; valid are ignore and fixme.")
        given = [scope for scope in SCOPES if getattr(self, scope)]
        if not given:
            raise SuppressionError(
                "rule", f"has no scope: give it a glob for {', '.join(SCOPES)}. To leave a rule out, use ignore."
            )
        if all(_matches_everything(getattr(self, scope)) for scope in given):
            raise SuppressionError(
                given[0], "matches everything; name the place that was reviewed. To leave a rule out, use ignore."
            )

    @property
    def scope(self) -> str:
        """Where it holds, for a message."""
        names = (*SCOPES, "file")
        return ", ".join(f"{name} {getattr(self, name)!r}" for name in names if getattr(self, name))

    def expired(self, today: date) -> bool:
        return self.until is not None and today > self.until

    def about(self, file: str) -> bool:
        """Whether it may hold in ``file``."""
        return not self.file or PurePath(file).match(self.file)

    def matches(self, finding: Finding, file: str, ops: Iterable[str]) -> bool:
        """Whether it is about ``finding``. ``ops`` are the kinds and targets of the finding's nodes."""
        return (
            finding.code == self.rule
            and self.about(file)
            and (not self.module or fnmatchcase(finding.module, self.module))
            and (not self.op or any(fnmatchcase(op, self.op) for op in ops))
            and (not self.node or any(fnmatchcase(node, self.node) for node in finding.nodes))
        )

    @property
    def suppression(self) -> Suppression:
        """What the findings that it matches carry. It tells this suppression from others."""
        return Suppression(self.kind, self.reason, self.until, f"{self.rule} for {self.scope}", self.origin)


def _matches_everything(glob: str) -> bool:
    return not glob.strip("*?. ")


def resolved(rules: Iterable[SuppressionRule], registry: Registry) -> tuple[SuppressionRule, ...]:
    """The suppressions with codes in the place of names. Raises SuppressionError for a rule that does not exist."""
    return tuple(replace(rule, rule=code_of(rule.rule, registry)) for rule in rules)


def code_of(name: str, registry: Registry) -> str:
    """The code of the rule that a suppression names. Raises SuppressionError unless it is exactly one."""
    if any(name.strip().lower() in (su.code.lower(), su.name) for su in HOUSEKEEPING):
        raise SuppressionError("rule", f"is about {name}, which cannot be suppressed; leave the rule out with ignore.")
    if any(name.strip().lower() in (ar.code.lower(), ar.name) for ar in ARCHIVE_RULES):
        raise SuppressionError("rule", f"is about {name}, which is about the whole file; accept it with allow-code.")
    rule = registry.get(name)
    if rule is not None:
        return rule.code
    family = [rule.code for rule in registry.rules if rule.code.startswith(name.strip().upper())]
    if family:
        raise SuppressionError(
            "rule", f"is about {name!r}, which matches several rules ({', '.join(family)}); a suppression names one."
        )
    raise SuppressionError("rule", f"is about {name!r}, which is not a rule. {registry.nearest(name)}")


def apply(report: Report, graph: Graph, rules: Sequence[SuppressionRule], today: date) -> Report:
    """The report with what ``rules`` match moved to ``suppressed``. The first that matches wins.

    A finding that an expired suppression matches stays and says so.
    """
    if not rules:
        return report
    bodies = {body.name: body for body in graph.walk()}
    kept: list[Finding] = []
    suppressed: list[Finding] = []
    for finding in report.findings:
        ops = tuple(_ops(finding, bodies))
        matching = [rule for rule in rules if rule.matches(finding, report.file, ops)]
        active = next((rule for rule in matching if not rule.expired(today)), None)
        if active is not None:
            suppressed.append(replace(finding, suppression=active.suppression))
        elif matching:
            told = ("expired", f"its suppression ended on {matching[0].until}: {matching[0].reason}")
            kept.append(replace(finding, details=(*finding.details, told)))
        else:
            kept.append(finding)
    return replace(report, findings=tuple(kept), suppressed=(*report.suppressed, *suppressed))


def _ops(finding: Finding, bodies: Mapping[str, Graph]) -> Iterator[str]:
    body = bodies.get(finding.graph)
    for name in finding.nodes:
        if body is not None and name in body:
            yield body[name].kind
            yield body[name].target


def unused(rules: Iterable[SuppressionRule], results: Results, ran: Iterable[str], today: date) -> Iterator[Finding]:
    """SU001 for every suppression that could have matched and did not. ``ran`` are the codes of the rules that ran.

    With a file that could not be checked, or a rule that failed, nobody knows what would have matched.
    """
    codes = set(ran)
    used = {finding.suppression for report in results.values() if report for finding in report.suppressed}
    for rule in rules:
        files = [file for file in results if rule.about(file)]
        if rule.rule in codes and not rule.expired(today) and files and rule.suppression not in used:
            reports = [results[file] for file in files]
            if all(report is not None and _judged(rule.rule, report) for report in reports):
                where = f" in {files[0]}" if len(files) == 1 and files[0] else ""
                yield UNUSED_SUPPRESSION.finding(
                    rule.origin, f"{rule.rule}|{rule.scope}", rule=rule.rule, scope=rule.scope, where=where
                )


def _judged(code: str, report: Report) -> bool:
    return code in report.rules and all(failure.code != code for failure in report.failures)


def expired(rules: Iterable[SuppressionRule], today: date) -> Iterator[Finding]:
    """SU003 for every suppression that is past its date."""
    for rule in rules:
        if rule.expired(today):
            yield EXPIRED_SUPPRESSION.finding(
                rule.origin, f"{rule.rule}|{rule.scope}", rule=rule.rule, scope=rule.scope, until=rule.until,
                reason=rule.reason,
            )  # fmt: skip
