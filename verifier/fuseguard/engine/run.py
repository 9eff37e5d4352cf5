"""Runs rules over a graph and collects what they find."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from fuseguard.engine.causes import mark_consequences
from fuseguard.engine.collector import collector_paused
from fuseguard.engine.effort import limited_effort
from fuseguard.engine.exposure import distinct_clusters, take_in_exposed
from fuseguard.engine.finding import Effect, Finding, Severity
from fuseguard.engine.fingerprint import add_fingerprints
from fuseguard.engine.interface import Interface, interface_of
from fuseguard.engine.isolation import RuleTimeout, stdout_kept, time_limit
from fuseguard.engine.parts import is_quantized, judged_graphs, programs
from fuseguard.engine.planning import plan_repairs
from fuseguard.engine.rule import Rule
from fuseguard.engine.shown import Printed, counted, counts_of, data_of, lines_of, one_line, page_of
from fuseguard.ir.graph import Graph, Node
from fuseguard.ir.value import replace
from fuseguard.ir.view import View
from fuseguard.target import Target

# Nobody repairs a program with more finding by finding, and its report would be unreadable.
MAX_FINDINGS = 3_000
# Names in the clusters of all findings, those counted once that findings share.
MAX_CLUSTER_NAMES = 1_000_000

NOT_QUANTIZED = "Nothing in this program is quantized (it has no quantize or dequantize op): there is nothing to check."

POLICIES = ("consistent", "measured", "bit-exact")


@dataclass(frozen=True, slots=True)
class RuleFailure:
    """A rule raised an error. The other rules still ran, but the run as a whole must not count as clean."""

    code: str
    graph: str
    error: str


@dataclass(frozen=True, slots=True, repr=False)
class Report(Printed):
    """All that one check of one program found.

    Attributes:
        findings: the findings, errors first.
        target: what the program was checked for; the first of ``targets`` if there are several.
        policy: the policy that decides what a guard would refuse.
        file: the path of the file, "" for a live program.
        nodes: the number of nodes.
        islands: the number of islands.
        quantized: False if the program has no Q or DQ at all.
        failures: rules that raised. Their findings are missing.
        notices: sentences for the user that are not findings.
        rules: the codes of the rules that ran.
        targets: all targets, if the program was checked for several.
        suppressed: findings that a suppression or the baseline keeps from being reported.
        unread: the names of the Q and DQ whose qparams could not be read.
        fail_on: the least severity for which ``ok`` is False.
        interface: the inputs and outputs of the program with dtype, shape and qparams.
        seconds: how long each rule took, by code.
        graph: the program, for drawings. None if it can be read from the file again.
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
    unread: tuple[str, ...] = ()
    fail_on: Severity = Severity.ERROR
    interface: Interface = field(default_factory=Interface)
    seconds: Mapping[str, float] = field(default_factory=dict, compare=False)
    graph: Graph | None = field(default=None, compare=False, repr=False)

    @property
    def ok(self) -> bool:
        """Whether a gate would let this pass: nothing of ``fail_on`` or worse, nothing unread, no rule that failed."""
        return not self.failures and not self.unread and not self.at_or_above(self.fail_on)

    def at_or_above(self, severity: Severity) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity.rank >= severity.rank)

    def _repr_html_(self) -> str:
        """What a notebook shows: a table of counts, and the HTML report in a frame."""
        return page_of("report_html", self)

    def refused(self) -> frozenset[str]:
        """Names of the top-level nodes that the plug-in keeps off the accelerator.

        A suppressed finding's too: the plug-in knows no suppressions.
        """
        told = (*self.findings, *self.suppressed)
        clusters = distinct_clusters(finding for finding in told if finding.refuse and not finding.graph)
        return frozenset().union(*clusters)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data, with the keys of the ``json`` format (``fuseguard schema``)."""
        return data_of("json", "report_dict", self)

    def __str__(self) -> str:
        """In short: counts, and a line for each rule that found something. ``fuseguard.render`` writes it all."""
        targets = " and ".join(map(str, self.targets[:2] or (self.target,)))
        targets += f" and {len(self.targets) - 2} more targets" if len(self.targets) > 2 else ""
        size = f"{counted(self.nodes, 'node')}, {counted(self.islands, 'island')}"
        lines = [one_line(f"{counts_of(self.findings)} in {size}: {self.file or 'program'}"), f"  for {targets}"]
        lines += lines_of(self.findings)
        if self.failures:
            failures = counted(len(self.failures), "rule failure")
            lines.append(one_line(f"  {failures}, the first: {self.failures[0].error}"))
        if self.suppressed:
            lines.append(f"  {len(self.suppressed)} suppressed or in the baseline")
        if self.notices:
            lines.append(one_line(f"  notice: {self.notices[0]}"))
        if self.findings:
            repairable = sum(finding.repairable for finding in self.findings)
            lines.append(f"  {repairable} of {len(self.findings)} can be repaired bit-exactly")
        return "\n".join(lines)


def refuses(effect: Effect, rule: Rule, policy: str = "consistent") -> bool:
    """Whether ``policy`` keeps what the rule finds with this effect off the accelerator.

    ``consistent`` refuses, on all targets, what breaks on any target, but not what deviates within a bound on this one;
    ``measured`` only what breaks on this one; ``bit-exact`` also what deviates within a proved bound.
    """
    if policy == "measured":
        return effect.severity is Severity.ERROR
    if policy == "bit-exact":
        return rule.refused or effect is Effect.BOUNDED
    return rule.refused and effect is not Effect.BOUNDED


@limited_effort()
@collector_paused()
def run(
    graph: Graph,
    target: Target,
    rules: Sequence[Rule],
    policy: str = "consistent",
    file: str = "",
    rule_seconds: float | None = None,
) -> Report:
    """Check ``graph`` and every control-flow body below it; of a lowered program, its delegates.

    If a rule raises or tries to end the process, that becomes a failure of the rule. What it prints goes to stderr.
    ``rule_seconds`` limits each rule on each graph. Raises ValueError for an unknown policy.
    """
    if policy not in POLICIES:
        raise ValueError(f"{policy!r} is not a policy; valid are {', '.join(POLICIES)}")
    findings: list[Finding] = []
    failures: list[RuleFailure] = []
    nodes = islands = 0
    # Every rule is about integer lowering; without the INT profile, there is none.
    active = rules if "INT" in target.profiles else ()
    views = [View(body) for body in judged_graphs(graph)]
    quantized = any(len(view.ops) < len(view.calls()) for view in views) or any(map(is_quantized, programs(graph)))
    bounds = _Bounds()
    late: set[str] = set()  # rules that hang: a program may have thousands of control-flow bodies
    seconds = dict.fromkeys((rule.code for rule in active), 0.0)
    with stdout_kept():
        for view in views:
            first = len(findings)
            nodes += len(view.calls())
            islands += len(view.islands)
            for rule in active:
                if rule.code in late:
                    continue
                started = perf_counter()
                try:
                    with time_limit(rule_seconds):
                        for finding in rule.check(view, target):
                            bounds.add(finding)
                            findings.append(replace(finding, refuse=refuses(finding.effect, rule, policy), file=file))
                except KeyboardInterrupt:
                    raise
                except BaseException as error:  # a third party's rule may do anything; the rest must still run
                    failures.append(_failure(rule.code, view, error))
                    late |= {rule.code} if isinstance(error, RuleTimeout) else set()
                seconds[rule.code] += perf_counter() - started
            findings[first:], failed = take_in_exposed(view, target, active, findings[first:], rule_seconds)
            failures += [_failure(code, view, error) for code, error in failed.items()]
            # Only now are the clusters complete, and a rewrite must keep them right.
            findings[first:], failed = plan_repairs(view, target, active, findings[first:], seconds, rule_seconds)
            failures += [_failure(code, view, error) for code, error in failed.items()]
    unread = tuple(node.name for view in views for node in _unread(view))
    notices = [*([target.notice] if target.notice else []), *_notes(graph)]
    if unread:
        shown = ", ".join(name[:80] for name in unread[:5])
        more = f" and {len(unread) - 5:,} more" if len(unread) > 5 else ""
        notices.append(
            f"The scale, zero point or code range of {shown}{more} is not a constant in the program, so it could not "
            f"be read. Whatever depends on it was not checked, so the program does not pass. Quantize it with constant "
            f"qparams."
        )
    if not quantized:
        notices.append(NOT_QUANTIZED)
    elif not active:
        notices.append(
            f"{target.spec} has no INT profile, but the rules are about integer lowering, so no rule ran. Releases "
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
        unread=unread,
        interface=interface_of(graph, views),
        seconds=seconds,
    )


def _notes(graph: Graph) -> tuple[str, ...]:
    """What the reader had to infer of the graph and of those below it, each once."""
    return tuple(dict.fromkeys(note for body in graph.walk() for note in body.notes))


def _unread(view: View) -> Iterator[Node]:
    """Live Q and DQ whose qparams are computed in the program, or are not there."""
    return (node for node in view.of_kind("quantize", "dequantize") if view.qparams(node) is None)


class TooMuchFound(Exception):
    """A rule found more than a report can hold."""


class _Bounds:
    """Counts what all rules found in one program."""

    def __init__(self) -> None:
        self._findings = 0
        self._names = 0
        self._clusters: dict[int, tuple[str, ...]] = {}

    def add(self, finding: Finding) -> None:
        """Raises TooMuchFound."""
        self._findings += 1
        if id(finding.cluster) not in self._clusters:
            self._clusters[id(finding.cluster)] = finding.cluster
            self._names += len(finding.cluster)
        if self._findings > MAX_FINDINGS:
            raise TooMuchFound(f"there are more than {MAX_FINDINGS} findings")
        if self._names > MAX_CLUSTER_NAMES:
            raise TooMuchFound(f"the clusters of all findings have more than {MAX_CLUSTER_NAMES} nodes")


def _failure(code: str, view: View, error: BaseException) -> RuleFailure:
    try:
        text = str(error)
    except Exception:  # a rule's own kind of error
        text = "an error without a text"
    return RuleFailure(code, view.graph.name, f"{type(error).__name__}: {text}")


def in_order(findings: Iterable[Finding], graph: Graph) -> list[Finding]:
    """Errors first, causes before consequences, then in the program's own order."""
    position = {(body.name, name): number for body in graph.walk() for number, name in enumerate(body.nodes)}
    return sorted(
        findings,
        key=lambda f: (
            -f.severity.rank,
            f.caused_by is not None,
            f.graph,
            position.get((f.graph, f.nodes[0] if f.nodes else ""), 0),
            f.code,
        ),
    )
