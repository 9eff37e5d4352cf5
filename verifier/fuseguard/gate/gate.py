"""The gate: checks one program for all targets, and applies the suppressions and the baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from fuseguard.engine.finding import Finding, Severity
from fuseguard.engine.housekeeping import HOUSEKEEPING, HousekeepingRule
from fuseguard.engine.isolation import time_limits
from fuseguard.engine.program_rules import DELEGATE_NOT_JUDGED, PROGRAM_RULES, REQUIRED
from fuseguard.engine.registry import Registry, matches, selected
from fuseguard.engine.rule import Rule
from fuseguard.engine.run import POLICIES, Report, run
from fuseguard.gate import archive, program, suppress
from fuseguard.gate import baseline as baselines
from fuseguard.gate.baseline import Baseline
from fuseguard.gate.suppress import Results, SuppressionRule
from fuseguard.gate.targets import matrix, merge
from fuseguard.ir.graph import Graph
from fuseguard.target import Target

if TYPE_CHECKING:  # its parser is needed only where there is a configuration
    from fuseguard.gate.config import Config

T = TypeVar("T")

#: What a rule may take for one graph. The slowest takes a second for the largest program that is read.
RULE_SECONDS = 60.0


#: All PG codes.
PROGRAM_CODES = tuple(rule.code for rule in PROGRAM_RULES)


class NothingToRun(ValueError):
    """``select`` and ``ignore`` leave no rule. A gate that checks nothing must not look like one that found nothing."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What programs are checked for, and which findings are known.

    It keeps no state: any process may check any file with it.

    ``severities`` maps codes and prefixes of them to the severity that findings get instead of their effect's; the
    longest that fits counts. ``baseline_path`` is that of the configuration, open or not. ``fail_on`` is the severity
    from which on findings count. ``housekeeping`` are the SU codes that are reported, ``program_codes`` the
    PG codes, ``allowed`` the AR codes that are accepted. ``require_quantized`` makes what is not quantized an error.
    ``methods`` are the programs to read of a file with several, all if there are none.
    """

    targets: tuple[Target, ...]
    rules: tuple[Rule, ...]
    policy: str = "consistent"
    severities: Mapping[str, Severity] = field(default_factory=dict)
    suppressions: tuple[SuppressionRule, ...] = ()
    baseline: Baseline | None = None
    baseline_path: Path | None = None
    fail_on: Severity = Severity.ERROR
    housekeeping: tuple[HousekeepingRule, ...] = HOUSEKEEPING
    program_codes: tuple[str, ...] = PROGRAM_CODES
    require_quantized: bool = False
    methods: tuple[str, ...] = ()
    today: date = field(default_factory=date.today)
    allowed: tuple[str, ...] = ()

    def check(self, graph: Graph, file: str = "") -> Report:
        """Check one program. Raises ValueError for an unknown policy."""
        with time_limits(RULE_SECONDS):
            reports = [self._run(graph, target, file) for target in self.targets]
        report = suppress.apply(merge(reports, graph), graph, self.suppressions, self.today)
        if self.baseline is not None:
            report = self._with_baseline(report, self.baseline)
        return archive.with_file(report, graph, self.allowed, self.severity_of)

    def _with_baseline(self, report: Report, baseline: Baseline) -> Report:
        known = baselines.apply(report, baseline)
        kept = [item for item in known.suppressed if item.code in self._required and item not in report.suppressed]
        if not kept:
            return known
        findings = [item for item in report.findings if item in known.findings or item.code in self._required]
        return replace(
            known, findings=tuple(findings), suppressed=tuple(item for item in known.suppressed if item not in kept)
        )

    @property
    def _required(self) -> tuple[str, ...]:
        """PG codes that no baseline covers and no severity makes milder: a gate must not be green on nothing."""
        return (DELEGATE_NOT_JUDGED.code, *(REQUIRED if self.require_quantized else ()))

    def _run(self, graph: Graph, target: Target, file: str) -> Report:
        report = run(graph, target, self.rules, self.policy, file, RULE_SECONDS)
        report = program.judged(report, graph, target, self.program_codes, self.require_quantized)
        return replace(report, findings=tuple(self._graded(finding) for finding in report.findings))

    def _graded(self, finding: Finding) -> Finding:
        severity = None if finding.code in self._required else self.severity_of(finding.code)
        return finding if severity is None else replace(finding, severity=severity)

    def severity_of(self, code: str) -> Severity | None:
        """The severity that the user gave a rule, if any."""
        fitting = [key for key in self.severities if code.startswith(key)]
        return self.severities[max(fitting, key=len)] if fitting else None

    def upkeep(self, results: Results) -> tuple[Finding, ...]:
        """The SU findings, to be asked for when all files are checked."""
        codes = {rule.code for rule in self.housekeeping}
        return tuple(self._graded(finding) for finding in self._upkeep(results) if finding.code in codes)

    def _upkeep(self, results: Results) -> Iterator[Finding]:
        yield from suppress.unused(self.suppressions, results, (rule.code for rule in self.rules), self.today)
        if self.baseline is not None:
            yield from baselines.stale(self.baseline, results)
        yield from suppress.expired(self.suppressions, self.today)


def make_gate(
    registry: Registry,
    config: Config,
    *,
    targets: Sequence[str | Target] | None = None,
    releases: Sequence[str] | None = None,
    policy: str | None = None,
    select: Sequence[str] | None = None,
    ignore: Sequence[str] | None = None,
    severities: Mapping[str, Severity] | None = None,
    suppressions: Sequence[SuppressionRule] = (),
    fail_on: Severity | None = None,
    baseline: Baseline | None = None,
    require_quantized: bool | None = None,
    methods: Sequence[str] | None = None,
    allow_code: Sequence[str] | None = None,
) -> Gate:
    """The gate that ``config`` asks for, where the other arguments, None being none, do not say otherwise.

    ``severities`` and ``suppressions`` add to the configuration's. The configuration's baseline is the caller's to
    open. Raises TargetError, SelectorError, SuppressionError, NothingToRun.
    """
    chosen, left_out = tuple(_first(select, config.select) or ()), tuple(_first(ignore, config.ignore) or ())
    registry.check_selectors((*chosen, *left_out))
    archive.check_not_ignored(left_out, registry.rules)
    rules = tuple(rule for rule in registry.rules if selected(rule, chosen, left_out))
    if not rules:
        others = (*HOUSEKEEPING, *PROGRAM_RULES)
        only = [rule.code for rule in others if any(matches(rule, selector) for selector in chosen)]
        hint = f" {only[0]} is about the findings of other rules; select these as well." if only else ""
        raise NothingToRun(f"--select and --ignore leave no rule to run.{hint}")
    return Gate(
        targets=matrix(_first(targets, config.targets) or (), _first(releases, config.releases) or ()),
        rules=rules,
        policy=_first(policy, config.policy) or POLICIES[0],
        severities={**_by_code(config.severities, registry), **_by_code(severities or {}, registry)},
        suppressions=(*config.suppressions, *suppress.resolved(suppressions, registry)),
        baseline=baseline,
        baseline_path=config.baseline,
        fail_on=_first(fail_on, config.fail_on) or Severity.ERROR,
        housekeeping=tuple(rule for rule in HOUSEKEEPING if selected(rule, chosen, left_out)),
        # "A part could not be checked" is not like other rules: --select does not leave it out, only --ignore does.
        program_codes=tuple(rule.code for rule in PROGRAM_RULES if selected(rule, (), left_out)),
        require_quantized=bool(_first(require_quantized, config.require_quantized)),
        methods=tuple(methods or ()),
        allowed=tuple(archive.code_to_allow(name) for name in _first(allow_code, config.allow_code) or ()),
    )


def _by_code(severities: Mapping[str, Severity], registry: Registry) -> dict[str, Severity]:
    """With codes in the place of names, so that an option overrides the configuration however each names the rule."""
    registry.check_selectors(severities)
    rules = ((registry.find(name), name, level) for name, level in severities.items())
    return {rule.code if rule is not None else name.upper(): level for rule, name, level in rules}


def _first(said: T | None, configured: T | None) -> T | None:
    return configured if said is None else said
