"""Why a rule does not report a node: which condition of its check ended the question.

The answer is taken from a run of the rule itself (:mod:`fuseguard.engine.tracing`), never from a description of it.
"""

from __future__ import annotations

import ast
import re
import sys
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from types import FunctionType
from typing import Any

from fuseguard.engine.effort import limited_effort
from fuseguard.engine.finding import Finding
from fuseguard.engine.instrumenting import NotTraceable
from fuseguard.engine.isolation import stdout_kept
from fuseguard.engine.nearest import nearest
from fuseguard.engine.parts import judged_graphs, programs
from fuseguard.engine.registry import Registry, SelectorError
from fuseguard.engine.rule import Rule
from fuseguard.engine.run import run
from fuseguard.engine.tracing import Event, Trace, trace
from fuseguard.engine.why_not_answer import Part, Step, WhyNot
from fuseguard.ir.graph import Graph
from fuseguard.ir.view import View
from fuseguard.target import MEASURED_RELEASES, Target, TargetError

_DECIDING = ("if", "filter", "choice", "return")
_MOST_STEPS = 4
_WORD = re.compile(r"[A-Za-z_]\w*")


class UnknownNode(ValueError):
    """No part of the program has a node of this name. The text names the nearest."""


def rule_to_ask(registry: Registry, name: str) -> Rule:
    """The rule of this code or name. Raises SelectorError for an unknown one, and for one that is not about nodes."""
    found = registry.find(name)
    if found is None:
        raise SelectorError(f"No rule is called {name!r}. {registry.nearest(name)}")
    if not isinstance(found, Rule):
        raise SelectorError(
            f"{found.code} is not about nodes of a program, but about the file, the program as a whole or the "
            f"configuration. 'fuseguard explain {found.code}' says what it finds."
        )
    return found


def why_not(rule: Rule, graph: Graph, target: Target, node: str) -> tuple[WhyNot, ...]:
    """Why ``rule`` does not report ``node`` for ``target``, or that it does: once for each part that has such a node.

    Raises UnknownNode.
    """
    bodies = [body for body in judged_graphs(graph) if node in body]
    if not bodies:
        raise UnknownNode(_unknown(graph, node))
    findings = run(graph, target, [rule]).findings
    return tuple(_answer(rule, body, target, node, findings) for body in bodies)


def _unknown(graph: Graph, node: str) -> str:
    if any(node in body for program in programs(graph) for body in program.walk()):
        return (
            f"{node!r} is outside of Arm's delegates of a lowered program, where no rule checks it: it runs as it is "
            f"written. Ask about the quantized program that was lowered."
        )
    names = [item.name for body in judged_graphs(graph) for item in body if item.op == "call"]
    return f"The program has no node {node!r}. {nearest(node, names)}".rstrip()


def _answer(rule: Rule, body: Graph, target: Target, name: str, findings: Sequence[Finding]) -> WhyNot:
    view, node = View(body), body[name]
    answer = WhyNot(rule.code, rule.name, name, node.target or node.op, body.name, str(target), "condition")
    own = [item for item in findings if item.graph == body.name]
    for outcome, found in (
        ("reported", next((item for item in own if name in item.nodes), None)),
        ("in-cluster", next((item for item in own if name in item.cluster), None)),
    ):
        if found is not None:
            return replace(answer, outcome=outcome, finding=found)
    if "INT" not in target.profiles:
        return replace(answer, outcome="profile")
    if not view.is_live(node):
        return replace(answer, outcome="dead")
    answer = replace(answer, elsewhere=tuple(_elsewhere(rule, body, target, name)))
    try:
        with limited_effort(), stdout_kept():
            traced = trace(rule, view, target, node)
    except NotTraceable as error:
        return replace(answer, outcome="untraceable", note=str(error))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # what a third party's rule raises, SystemExit too; check says so as well
        return replace(answer, outcome="untraceable", note=f"the rule raised {type(error).__name__}: {error}")
    outcome, steps = _Decision(traced).explain()
    return replace(answer, outcome=outcome, steps=steps)


def _elsewhere(rule: Rule, body: Graph, target: Target, name: str) -> Iterator[str]:
    """The other measured releases, and the other integer profile, for which the rule reports the node."""
    for other in _others(rule, target):
        with suppress(Exception), limited_effort(), stdout_kept():
            if any(name in finding.nodes for finding in rule.check(View(body), other)):
                yield str(other)


def _others(rule: Rule, target: Target) -> Iterator[Target]:
    bases = [target]
    with suppress(TargetError):
        profile = "TOSA-1.0+INT" if target.has_float else "TOSA-1.0+INT+FP"
        extensions = sorted(item for item in target.extensions if item != "u55")
        bases.append(Target.parse("+".join((profile, *extensions)), str(target.release)))
    if rule.accelerator and target.accelerator != rule.accelerator:
        bases.append(rule.example_target(target.spec, str(target.release)))
    seen = {str(target)}
    for base in bases:
        for release in dict.fromkeys((str(base.release), *reversed(MEASURED_RELEASES))):
            with suppress(TargetError):
                other = base.with_release(release)
                if str(other) not in seen:
                    seen.add(str(other))
                    yield other


class _Decision:
    """Finds in a trace what decided about the node."""

    def __init__(self, traced: Trace) -> None:
        self._events = traced.events
        self._callers = traced.callers
        self._check = traced.first
        self._of: dict[int, list[int]] = {}
        for number, event in enumerate(self._events):
            self._of.setdefault(event.call, []).append(number)

    def explain(self) -> tuple[str, tuple[Step, ...]]:
        own = [(number, self._events[number]) for number in self._of.get(self._check, ())]
        loops = [event for _, event in own if event.site.kind == "loop"]
        met = [number for number, event in own if event.site.kind == "loop" and event.concerns]
        about = [number for number, event in own if event.concerns and event.site.in_loop]
        asked = [number for number in about if self._events[number].site.kind in ("if", "yield", "filter")]
        if asked:
            return "condition", tuple(self._steps(self._statement_first(asked)))
        if met:
            ended = next((number for number, event in own if number > met[-1] and event.site.kind == "loop"), None)
            last = self._last_child(self._check, met[-1], len(self._events) if ended is None else ended)
            if last is not None:
                return "condition", tuple(self._in_call(last, 0, len(self._events)))
        if not loops:
            asked = [number for number, event in own if event.site.kind == "if"]
            return "not-applicable", tuple(self._steps(asked[-1])) if asked else ()
        return "not-considered", (*self._loops(loops), *self._passed_over(loops))

    def _statement_first(self, numbers: Sequence[int]) -> int:
        """The last event, one of a statement where there is one."""
        statements = [number for number in numbers if self._events[number].site.kind != "filter"]
        return (statements or numbers)[-1]

    def _loops(self, loops: Sequence[Event]) -> Iterator[Step]:
        """What the rule looks at, the outermost loops of check() alone."""
        seen = set()
        for event in loops:
            _, _, items = event.site.text.partition(" in ")
            if items not in seen and not event.site.in_loop and not items.isidentifier():
                seen.add(items)
                yield replace(_step("loop", event, False), doc=_iterated(event))

    def _passed_over(self, loops: Sequence[Event]) -> Iterator[Step]:
        """Why a function that yields what the rule goes through has left the node out."""
        names = {word for event in loops for word in _WORD.findall(event.site.text)}
        for number in self._of[self._check]:
            site = self._events[number].site
            if site.kind == "assign" and names.intersection(site.names):
                names.update(_WORD.findall(site.text))
        entered = {event.call: event.site.function for event in self._events}
        found = [
            number for number, event in enumerate(self._events)
            if event.call != self._check and event.concerns and event.site.in_loop
            and event.site.kind in ("if", "filter", "yield") and not event.site.function.startswith("__")
            and entered.get(self._asked_by_check(event.call), "") in names
        ]  # fmt: skip
        if not found:
            return
        depth = {number: self._depth(self._events[number].call) for number in found}
        nearest_call = [number for number in found if depth[number] == min(depth.values())]
        yield from self._steps(self._statement_first(nearest_call))

    def _asked_by_check(self, call: int) -> int:
        """The call of check() that led to ``call``."""
        while self._callers.get(call, 0) not in (0, self._check):
            call = self._callers[call]
        return call

    def _depth(self, call: int) -> int:
        depth = 0
        while call and call != self._check:
            call, depth = self._callers.get(call, 0), depth + 1
        return depth

    def _last_child(self, call: int, start: int, stop: int) -> int | None:
        """The last call that ``call`` made between two events, of those that asked something."""
        for number in range(min(stop, len(self._events)) - 1, start - 1, -1):
            event = self._events[number]
            if self._callers.get(event.call) == call and event.site.kind in _DECIDING:
                return event.call
        return None

    def _in_call(self, call: int, start: int, stop: int, left: int = _MOST_STEPS) -> Iterator[Step]:
        """What decided about the result of a call."""
        numbers = [
            number for number in self._of.get(call, ())
            if start <= number < stop and self._events[number].site.kind in _DECIDING
        ]  # fmt: skip
        if not numbers:
            return
        last = numbers[-1]
        event = self._events[last]
        collected = [
            number for number in numbers
            if self._events[number].concerns and self._events[number].site.in_loop
            and self._events[number].site.kind in ("if", "filter")
        ]  # fmt: skip
        if collected and event.site.text.isidentifier():  # it returns what it has collected
            yield from self._steps(self._statement_first(collected), left)
            return
        constant = event.site.kind == "return" and not any(True for _ in self._parts(last, event))
        if constant and len(numbers) > 1:
            step, *rest = self._steps(numbers[-2], left)
            yield replace(step, value=_returned(event))
            chosen = self._last_child(call, numbers[-2] + 1, last)  # by a conditional expression
            yield from rest if chosen is None else self._in_call(chosen, numbers[-2] + 1, last, left - 1)
        else:
            yield from self._steps(last, left)

    def _steps(self, number: int, left: int = _MOST_STEPS) -> Iterator[Step]:
        """A condition, and what decided about the last part of it that was evaluated."""
        event = self._events[number]
        if event.site.kind == "yield":
            yield _step("finding", event, True)
            return
        parts = list(self._parts(number, event))
        where, inside = [], None
        if parts:
            decisive = parts[-1][0]
            before = self._before(decisive)
            inside = self._last_child(event.call, before, decisive)
            span = (before, decisive)
            for name in self._events[decisive].site.names:
                assigned = self._assigned(event.call, name, decisive)
                if assigned is None:
                    continue
                where.append((name, self._events[assigned].site.text))
                if inside is None:
                    before = self._before(assigned)
                    inside, span = self._last_child(event.call, before, assigned), (before, assigned)
        kind = "result" if event.site.kind == "return" else "condition"
        yield replace(
            _step(kind, event, event.holds),
            parts=tuple(part for _, part in parts),
            where=tuple(where[:3]),
            change=_change(event, parts[-1][1].text) if parts else "",
            value=_returned(event) if kind == "result" else "",
        )
        if inside is not None and left > 1 and not (parts and ".in_force(" in parts[-1][1].text):
            yield from self._in_call(inside, *span, left - 1)

    def _parts(self, number: int, event: Event) -> Iterator[tuple[int, Part]]:
        """The parts of a condition that were evaluated for it, in order, with what they compared."""
        found: list[tuple[int, Part]] = []
        values: list[tuple[str, str]] = []
        for other in self._backwards(number):
            seen = self._events[other]
            if seen.key == event.key:
                break
            if seen.site.kind == "part" and seen.site.parent == event.key:
                if seen.site.text != _constant(seen.site.text):
                    found.append((other, Part(seen.site.text, seen.holds, _plain(seen.values))))
            elif seen.site.kind == "value" and found and _is_part(self._events[found[-1][0]], seen):
                values = [(seen.site.text, seen.values[0][1])]
                place, part = found[-1]
                found[-1] = (place, replace(part, values=(*values, *part.values)))
            elif seen.site.kind in _DECIDING and seen.site.parent < 0:
                break
        yield from reversed(found)

    def _backwards(self, number: int) -> Iterator[int]:
        """The events of the same call before ``number``, the last one first."""
        own = self._of[self._events[number].call]
        for place in range(bisect_left(own, number) - 1, -1, -1):
            yield own[place]

    def _before(self, number: int) -> int:
        """Where what was evaluated for an event begins."""
        return next((other + 1 for other in self._backwards(number) if self._events[other].site.kind != "value"), 0)

    def _assigned(self, call: int, name: str, before: int) -> int | None:
        own = self._of[call]
        for place in range(bisect_left(own, before) - 1, -1, -1):
            number = own[place]
            event = self._events[number]
            if event.site.kind == "assign" and name in event.site.names:
                return number
        return None


def _is_part(part: Event, value: Event) -> bool:
    return value.site.parent == part.key


def _constant(text: str) -> str:
    """``text`` if it is a constant, else ""."""
    return text if text in ("True", "False", "None", "''", "()") or text.isdigit() else ""


def _plain(values: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Without what says nothing: the program and the rule itself."""
    return tuple((name, text) for name, text in values if name not in ("view", "self", "target", "any", "all", "len"))


def _returned(event: Event) -> str:
    return event.values[0][1] if event.values else ""


def _step(kind: str, event: Event, holds: bool) -> Step:
    site = event.site
    doc = site.doc if site.function != "check" else ""
    return Step(kind, site.text, site.module, site.line, site.function, holds, comment=site.comment, doc=doc)


def _change(event: Event, text: str) -> str:
    """What the change of the backend is that a condition asks for: ``CHANGE.in_force(target)``."""
    name, asked, _ = text.partition(".in_force(")
    known: Any = getattr(sys.modules.get(event.site.module), name, None) if asked else None
    effect, reference, releases = (getattr(known, key, "") for key in ("effect", "reference", "releases"))
    return f"{effect} ({reference}, ExecuTorch {releases})" if effect else ""


def _iterated(event: Event) -> str:
    """What is said of the function whose results a loop goes through."""
    for call in ast.walk(ast.parse(f"{event.site.text}: pass")):
        if isinstance(call, ast.Call):
            function, known = call.func, None
            if isinstance(function, ast.Name):
                known = getattr(sys.modules.get(event.site.module), function.id, None)
            elif isinstance(function, ast.Attribute) and ast.unparse(function.value) == "view":
                known = getattr(View, function.attr, None)
            doc = getattr(known, "__doc__", None) if isinstance(known, FunctionType) else None
            if doc:
                return " ".join(doc.split("\n\n")[0].split())
    return ""
