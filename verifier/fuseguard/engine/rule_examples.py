"""Tests a rule on its own examples, without torch: ``fuseguard test-rules`` and the tests of a pack run this."""

from __future__ import annotations

import copy
import enum
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial

from fuseguard.engine.effects import EffectRow, EffectsTable
from fuseguard.engine.example_cases import PROFILES
from fuseguard.engine.finding import Effect
from fuseguard.engine.rewrite import Rewrite
from fuseguard.engine.rule import Example, Rule
from fuseguard.engine.run import Report, run
from fuseguard.ir.graph import Graph
from fuseguard.target import MEASURED_RELEASES, Target

__all__ = ["PROFILES", "Fault", "FaultKind", "faults"]


class FaultKind(str, enum.Enum):
    """The kind of fault, for programs; ``Fault.problem`` is for people."""

    DOCUMENTATION = "documentation"  # a missing text
    HOLE = "hole"  # a case without a row on some release and profile
    UNSHOWN = "unshown"  # a row that no bad example reaches
    BROKEN_EXAMPLE = "broken-example"  # an example that cannot be built or checked
    RAISES = "raises"  # a rule raises on an example
    MISSED = "missed"  # a bad example in which the rule finds nothing
    FALSE_ALARM = "false-alarm"  # a good example in which it finds something
    UNNAMED_COMPANION = "unnamed-companion"  # another rule's finding that the example does not name
    PROFILES_DIFFER = "profiles-differ"  # INT and INT+FP are not refused alike
    UNSOUND_FINDING = "unsound-finding"  # a finding or repair that does not fit the graph or differs from run to run


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a rule. ``example`` is the title of the example that shows it, "" for the rule itself.

    ``row`` is the row of the effects table that it is about, if it is about one.
    """

    rule: str
    example: str
    problem: str
    kind: FaultKind
    row: EffectRow | None = None

    def __str__(self) -> str:
        where = f" (example {self.example!r})" if self.example else ""
        return f"{self.rule}{where}: {self.problem}"


def faults(rule: Rule, beside: Iterable[Rule] = ()) -> tuple[Fault, ...]:
    """All that is wrong with ``rule``, on every measured release and integer profile; empty if nothing is.

    ``beside`` are the rules that run together with it by default: its bad examples may raise only the rule's own
    code and the companions that they name. Raises nothing: a rule or an example that raises is a fault.
    """
    together = tuple(dict.fromkeys((*(other for other in beside if other.code != rule.code), rule)))
    found = [*_documentation(rule), *_holes(rule)]
    used: set[EffectRow] = set()
    watched = _watched(rule, used)
    for example in rule.bad:
        found += _example(rule, example, partial(_bad, rule, watched, example, together))
    for example in rule.good:
        found += _example(rule, example, partial(_good, rule, example))
    if not found:  # a broken rule shows nothing
        found += _unshown(rule, used)
    return tuple(found)


def _example(rule: Rule, example: Example, check: Callable[[], Iterator[Fault]]) -> list[Fault]:
    """What ``check`` finds, if the example can be made at all."""
    try:
        graph: object = example.graph()
    except Exception as error:
        problem = f"its graph cannot be built: {type(error).__name__}: {error}"
        return [Fault(rule.code, example.title, problem, FaultKind.BROKEN_EXAMPLE)]
    if not isinstance(graph, Graph):
        problem = f"its graph is a {type(graph).__name__}; end it with output(...)"
        return [Fault(rule.code, example.title, problem, FaultKind.BROKEN_EXAMPLE)]
    try:
        return list(check())
    except Exception as error:  # an extension or range of releases that there is not, for one
        problem = f"it cannot be checked: {type(error).__name__}: {error}"
        return [Fault(rule.code, example.title, problem, FaultKind.BROKEN_EXAMPLE)]


def _documentation(rule: Rule) -> Iterator[Fault]:
    """Texts that the registry does not require, but that the rule's page needs."""
    for field in ("summary", "why", "remedy"):
        if not getattr(rule, field).rstrip().endswith((".", "?", "!")):
            problem = f"its {field} is not a whole sentence: it has no full stop at the end"
            yield Fault(rule.code, "", problem, FaultKind.DOCUMENTATION)
    for row in rule.effects.rows:
        if not row.reference.strip():
            problem = (
                f"the effect {row.effect.value!r} of case {row.case!r} has no reference: name the pass, commit or "
                f"issue that it is known from"
            )
            yield Fault(rule.code, "", problem, FaultKind.DOCUMENTATION, row)
    titles = [example.title for example in (*rule.bad, *rule.good)]
    for title in sorted({title for title in titles if titles.count(title) > 1}):
        problem = "several examples have this title; give each its own"
        yield Fault(rule.code, title, problem, FaultKind.DOCUMENTATION)


def _holes(rule: Rule) -> Iterator[Fault]:
    """Every case needs an effect on every measured release and both profiles, or a finding could not be made."""
    for case in [case for case in rule.effects.cases() if case != "*"] or ["*"]:
        missing = []
        for target in _targets(rule):
            try:
                rule.effects.look_up(case, target)
            except KeyError:
                missing.append(target)
        if missing:
            problem = f"its effects table has no row for case {case!r} on {_named(missing)}"
            yield Fault(rule.code, "", problem, FaultKind.HOLE)


def _bad(rule: Rule, watched: Rule, example: Example, together: Sequence[Rule]) -> Iterator[Fault]:
    allowed = {rule.code, *example.companions}
    silent: list[Target] = []
    strange: dict[str, list[Target]] = {}
    raised: dict[str, list[Target]] = {}
    unlike: list[str] = []
    seen: set[str] = set()
    graph = example.graph()
    for release in MEASURED_RELEASES:
        refused = []
        for target in (_target(rule, example.spec(profile), release) for profile in PROFILES):
            report = run(graph, target, together)
            refused.append(report.refused())
            codes = {finding.code for finding in report.findings}
            seen |= codes
            for failure in report.failures:
                raised.setdefault(f"rule {failure.code} raises {failure.error}", []).append(target)
            for code in codes - allowed:
                strange.setdefault(code, []).append(target)
            if not codes & allowed and example.is_bad_on(target):
                silent.append(target)
        if refused[0] != refused[1]:
            unlike.append(release)
    for problem, targets in raised.items():
        yield Fault(rule.code, example.title, f"{problem}, on {_named(targets)}", FaultKind.RAISES)
    for code, targets in sorted(strange.items()):
        problem = f"{code} is found as well, on {_named(targets)}; fix the example, or name {code} in its companions"
        yield Fault(rule.code, example.title, problem, FaultKind.UNNAMED_COMPANION)
    if silent and not raised:
        problem = f"the rule finds nothing in this bad example, on {_named(silent)}"
        yield Fault(rule.code, example.title, problem, FaultKind.MISSED)
    elif rule.code not in seen and not raised:
        problem = f"only {', '.join(sorted(seen))} is ever found, never the rule itself"
        yield Fault(rule.code, example.title, problem, FaultKind.MISSED)
    if unlike:
        problem = (
            f"INT and INT+FP are not refused alike on {', '.join(unlike)}; yield the finding for both profiles, and "
            f"let the effects table distinguish them"
        )
        yield Fault(rule.code, example.title, problem, FaultKind.PROFILES_DIFFER)
    if not raised:
        yield from _findings(watched, example)


def _findings(rule: Rule, example: Example) -> Iterator[Fault]:
    """What the rule's own findings in a bad example say."""
    problems: dict[str, list[Target]] = {}
    graph = example.graph()
    for target in _targets(rule, example):
        first, second = (run(graph, target, (rule,)) for _ in range(2))
        if first.findings != second.findings:
            problems.setdefault("two runs over the same graph find different things", []).append(target)
        for problem in _unsound(graph, first):
            problems.setdefault(problem, []).append(target)
    for problem, targets in problems.items():
        yield Fault(rule.code, example.title, f"{problem}, on {_named(targets)}", FaultKind.UNSOUND_FINDING)


def _unsound(graph: Graph, report: Report) -> Iterator[str]:
    bodies = {body.name: body for body in graph.walk()}
    for failure in report.failures:
        yield f"the rule raises {failure.error}"
    for finding in report.findings:
        body = bodies[finding.graph]
        outside = [name for name in (*finding.nodes, *finding.cluster) if name not in body]
        if outside:
            yield f"a finding names {outside[0]!r}, which is not a node of the graph"
            continue
        if not set(finding.nodes) <= set(finding.cluster):
            yield "a finding's nodes are not all in its cluster"
        if "{" in finding.message:
            yield f"a message has a field left open: {finding.message!r}"
        yield from _unsound_repair(body, finding.rewrite)


def _unsound_repair(body: Graph, rewrite: Rewrite | None) -> Iterator[str]:
    if rewrite is None:
        return
    if not rewrite.edits:
        yield "a repair changes nothing; return None if there is none"
    for name in sorted(rewrite.touched):
        if name not in body:
            yield f"a repair changes {name!r}, which is not a node of the graph"


def _good(rule: Rule, example: Example) -> Iterator[Fault]:
    problems: dict[tuple[FaultKind, str], list[Target]] = {}
    graph = example.graph()
    for target in _targets(rule, example):
        report = run(graph, target, (rule,))
        for failure in report.failures:
            problems.setdefault((FaultKind.RAISES, f"the rule raises {failure.error}"), []).append(target)
        for finding in report.findings:
            problem = f"the rule reports this good example: {finding.message}"
            problems.setdefault((FaultKind.FALSE_ALARM, problem), []).append(target)
    for (kind, problem), targets in problems.items():
        yield Fault(rule.code, example.title, f"{problem}, on {_named(targets)}", kind)


def _unshown(rule: Rule, used: set[EffectRow]) -> Iterator[Fault]:
    """A row that no example reaches is in no recording, so nothing confirms it."""
    # If a release fixed the fault, the rule may report nothing; its examples are still judged there.
    silent = any(example.only_on for example in rule.bad)
    for row in rule.effects.rows:
        fixed = silent and row.effect in (Effect.EXACT, Effect.CPU_FALLBACK)
        if row.evidence is None and row not in used and not fixed:
            problem = (
                f"no bad example shows the effect {row.effect.value!r} of case {row.case!r} (releases {row.releases}, "
                f"profile {row.profile}), so that no recording can; add one, or state the evidence as source-read"
            )
            yield Fault(rule.code, "", problem, FaultKind.UNSHOWN, row)


class _Watched(EffectsTable):
    """An effects table that notes which rows were looked up."""

    def __init__(self, table: EffectsTable, used: set[EffectRow]) -> None:
        super().__init__(table.rows)
        self._used = used

    def look_up(self, case: str, target: Target) -> EffectRow:
        row = super().look_up(case, target)
        self._used.add(row)
        return row


def _watched(rule: Rule, used: set[EffectRow]) -> Rule:
    """A copy of the rule whose effects table notes its use."""
    watched = copy.copy(rule)
    vars(watched)["effects"] = _Watched(rule.effects, used)
    return watched


def _targets(rule: Rule, example: Example | None = None) -> list[Target]:
    """Every measured release with both profiles, and with the extensions that the example needs."""
    specs = [example.spec(profile) if example else profile for profile in PROFILES]
    return [_target(rule, spec, release) for release in MEASURED_RELEASES for spec in specs]


@cache
def _target(rule: Rule, spec: str, release: str) -> Target:
    """The same few targets for all examples of a rule."""
    return rule.example_target(spec, release)


def _named(targets: Sequence[Target]) -> str:
    """``every release`` or ``INT+FP 1.2.0, INT 1.5.1``."""
    if len(targets) == len(PROFILES) * len(MEASURED_RELEASES):
        return "every measured release"
    return ", ".join(f"{target.profile} {target.release}" for target in targets)
