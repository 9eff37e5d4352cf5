"""Runs rules over a graph and collects what they find."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter

from fuseguard.engine.causes import mark_consequences
from fuseguard.engine.exposure import take_in_exposed
from fuseguard.engine.finding import Effect, Finding, Severity
from fuseguard.engine.fingerprint import add_fingerprints
from fuseguard.engine.rewrite import is_rewritten
from fuseguard.engine.rule import Rule
from fuseguard.ir.graph import Graph
from fuseguard.ir.view import View
from fuseguard.target import Target

POLICIES = ("consistent", "measured", "bit-exact")


@dataclass(frozen=True, slots=True)
class RuleFailure:
    """A rule raised. The other rules still ran; the run as a whole must not count as clean."""

    code: str
    graph: str
    error: str


@dataclass(frozen=True, slots=True)
class Report:
    """All that one check of one program found.

    ``target`` is the first of ``targets`` where it was checked for several. ``suppressed`` are findings that a
    suppression or the baseline keeps from being reported. ``quantized`` is False when the program has no Q or DQ at
    all. ``notices`` are sentences for the user that are no findings. ``seconds`` is how long each rule took, by code.
    """

    findings: tuple[Finding, ...]
    target: Target
    policy: str
    file: str = ""
    nodes: int = 0
    islands: int = 0
    quantized: bool = True
    failures: tuple[RuleFailure, ...] = ()
    notices: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()
    suppressed: tuple[Finding, ...] = ()
    fail_on: Severity = Severity.ERROR
    seconds: Mapping[str, float] = field(default_factory=dict, compare=False)

    @property
    def ok(self) -> bool:
        """Whether a gate would let this pass: no finding of ``fail_on`` or worse, and no rule that failed."""
        return not self.failures and not self.at_or_above(self.fail_on)

    def at_or_above(self, severity: Severity) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity.rank >= severity.rank)

    def refused(self) -> frozenset[str]:
        """Names of the top-level nodes that the plug-in keeps off the accelerator.

        A suppressed finding's too: the plug-in knows no suppressions.
        """
        told = (*self.findings, *self.suppressed)
        return frozenset(name for finding in told if finding.refuse and not finding.graph for name in finding.cluster)


def refuses(finding: Finding, rule: Rule, policy: str) -> bool:
    """Whether ``policy`` keeps the finding's cluster off the accelerator.

    ``consistent`` refuses what breaks on any target, on all of them alike; ``measured`` only what breaks on
    this one; ``bit-exact`` also what deviates within a proved bound.
    """
    if policy == "measured":
        return finding.severity is Severity.ERROR
    if policy == "bit-exact":
        return rule.refused or finding.effect is Effect.BOUNDED
    return rule.refused


def run(graph: Graph, target: Target, rules: Sequence[Rule], policy: str = "consistent", file: str = "") -> Report:
    """Check ``graph`` and every control-flow body below it. Raises ValueError for an unknown policy."""
    if policy not in POLICIES:
        raise ValueError(f"{policy!r} is not a policy; valid are {', '.join(POLICIES)}")
    findings: list[Finding] = []
    failures: list[RuleFailure] = []
    nodes = islands = 0
    quantized = False
    # Every rule is about integer lowering; without the INT profile there is none to be wrong.
    active = rules if "INT" in target.profiles else ()
    views = [View(body) for body in graph.walk()]
    seconds = dict.fromkeys((rule.code for rule in active), 0.0)
    for view in views:
        first = len(findings)
        nodes += len(view.calls())
        islands += len(view.islands)
        quantized = quantized or len(view.ops) < len(view.calls())
        for rule in active:
            started = perf_counter()
            try:
                for finding in rule.check(view, target):
                    mends = rule.repairable and is_rewritten(view, finding)
                    rewrite = rule.repair(view, target, finding) if mends else None
                    findings.append(
                        replace(
                            finding,
                            refuse=refuses(finding, rule, policy),
                            repairable=rewrite is not None and rewrite.exact,
                            unsafe_repair=rewrite is not None and not rewrite.exact,
                            file=file,
                        )
                    )
            except Exception as error:  # a third party's rule may do anything; the rest must still run
                failures.append(_failure(rule.code, view, error))
            seconds[rule.code] += perf_counter() - started
        findings[first:], failed = take_in_exposed(view, target, active, findings[first:])
        failures += [_failure(code, view, error) for code, error in failed.items()]
    notices = [target.notice] if target.notice else []
    if not quantized:
        notices.append(
            "Nothing in this program is quantized (it has no quantize or dequantize op): there is nothing to check."
        )
    elif not active:
        notices.append(
            f"{target.spec} has no INT profile, and the rules are about integer lowering: none was applied. Releases "
            f"1.4.1 and 1.5.1 fail to lower any quantized convolution for such a target; use TOSA-1.0+INT or "
            f"TOSA-1.0+INT+FP."
        )
    return Report(
        findings=tuple(in_order(add_fingerprints(mark_consequences(findings, active), views), graph)),
        target=target,
        policy=policy,
        file=file,
        nodes=nodes,
        islands=islands,
        quantized=quantized,
        failures=tuple(failures),
        notices=tuple(notices),
        rules=tuple(rule.code for rule in active),
        targets=(target,),
        seconds=seconds,
    )


def _failure(code: str, view: View, error: Exception) -> RuleFailure:
    return RuleFailure(code, view.graph.name, f"{type(error).__name__}: {error}")


def in_order(findings: Iterable[Finding], graph: Graph) -> list[Finding]:
    """Errors first, causes before consequences, then in the program's own order."""
    position = {(body.name, name): number for body in graph.walk() for number, name in enumerate(body.nodes)}
    return sorted(
        findings,
        key=lambda f: (
            -f.severity.rank,
            f.caused_by is not None,
            f.graph,
            position.get((f.graph, f.nodes[0]), 0),
            f.code,
        ),
    )
