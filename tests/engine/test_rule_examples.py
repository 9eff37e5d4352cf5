"""What ``fuseguard test-rules`` asks of a rule. Protects: a check that lets a wrong rule pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from packaging.specifiers import InvalidSpecifier

from fuseguard.engine import Effect, EffectRow, EffectsTable, Evidence, Example, Finding, Insert, Rewrite, Rule
from fuseguard.engine.rule_examples import FaultKind as Kind
from fuseguard.engine.rule_examples import faults
from fuseguard.ir import Graph, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target


def relu(scale: float) -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 4, 8, 8), int8(scale))
    return b.output(b.requantize(b.call("aten.relu.default", x), int8(scale)))


def table(
    *rows: tuple[str, str, str], evidence: Evidence | None = None, reference: str = "a pass"
) -> EffectsTable:
    return EffectsTable([EffectRow(*row, Effect.QUALITY, evidence, reference) for row in rows])


class Coarse(Rule):
    code = "ZZ100"
    name = "coarse-steps"
    summary = "Coarse."
    why = "Because."
    remedy = "Fix it."
    scope = "node"
    message = "{node} is coarse"
    effects = table(("*", "*", "*"))
    bad = (Example("steps of 2", lambda: relu(2.0)),)
    good = (Example("steps of 0.1", lambda: relu(0.1)),)

    def found(self, view: View) -> Iterator[Any]:
        for node in view.calls():
            qparams = view.in_qp(node, 0)
            if node.kind == "relu" and qparams is not None and qparams.scale > 1:
                yield node

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node in self.found(view):
            yield self.finding(view, target, (node,), case="*", node=node.name)


class Other(Coarse):
    code = "ZZ200"
    name = "coarse-as-well"


def rule(**changes: Any) -> Rule:
    made: Rule = type("Changed", (Coarse,), changes)()
    return made


def told(checked: Rule, *beside: Rule) -> str:
    return "\n".join(map(str, faults(checked, beside)))


def test_a_right_rule_has_no_fault() -> None:
    assert faults(Coarse()) == ()


def check_with(**fields: Any) -> Any:
    """A check() that changes each finding."""

    def check(self: Coarse, view: View, target: Target) -> Iterator[Finding]:
        from dataclasses import replace

        for finding in Coarse.check(self, view, target):
            yield replace(finding, **fields)

    return check


def only_int(self: Coarse, view: View, target: Target) -> Iterator[Finding]:
    if target.profile == "INT":
        yield from Coarse.check(self, view, target)


def raises(self: Rule, view: View, target: Target) -> Iterator[Finding]:
    raise RuntimeError("boom")
    yield


def forgets(self: Coarse, view: View, target: Target) -> Iterator[Finding]:
    for node in self.found(view):
        yield self.finding(view, target, (node,), case="*")


def fickle() -> Any:
    runs = iter(range(10**6))

    def check(self: Coarse, view: View, target: Target) -> Iterator[Finding]:
        for node in self.found(view):
            yield self.finding(view, target, (node,), case="*", node=f"{node.name}{next(runs)}")

    return check


def strange_repair(self: Rule, view: View, target: Target, finding: Finding) -> Rewrite:
    return Rewrite((Insert("nowhere", (), ()),))


def empty_repair(self: Rule, view: View, target: Target, finding: Finding) -> Rewrite:
    return Rewrite(())


@pytest.mark.parametrize(
    ("changes", "complaint", "kind"),
    [
        (
            {"bad": (Example("fine steps", lambda: relu(0.1)),)},
            "finds nothing in this bad example, on every measured", Kind.MISSED,
        ),
        (
            {"good": (Example("coarse steps", lambda: relu(2.0)),)},
            "reports this good example: relu is coarse", Kind.FALSE_ALARM,
        ),
        ({"bad": (Example("broken", lambda: 1 / 0),)}, "cannot be built: ZeroDivisionError", Kind.BROKEN_EXAMPLE),
        (
            {"bad": (Example("unfinished", lambda: "relu"),)},
            "its graph is a str; end it with output", Kind.BROKEN_EXAMPLE,
        ),
        (
            {"bad": (Example("odd", lambda: relu(2.0), extensions=("nonsense",)),)},
            "cannot be checked: TargetError", Kind.BROKEN_EXAMPLE,
        ),
        ({"bad": (Example("twice", lambda: relu(2.0)),) * 2}, "several examples have this title", Kind.DOCUMENTATION),
        (
            {"effects": table(("*", ">=1.4", "*"))},
            "no row for case '*' on INT 1.2.0, INT+FP 1.2.0, INT 1.3.1", Kind.HOLE,
        ),
        ({"effects": table(("*", "*", "INT"))}, "no row for case '*' on INT+FP 1.2.0, INT+FP 1.3.1", Kind.HOLE),
        (
            {"effects": table(("*", "*", "*"), ("rare", "*", "*"))},
            "shows the effect 'quality' of case 'rare'", Kind.UNSHOWN,
        ),
        ({"effects": table(("*", "*", "*"), reference=" ")}, "has no reference", Kind.DOCUMENTATION),
        ({"remedy": "Fix it"}, "remedy is not a whole sentence", Kind.DOCUMENTATION),
        ({"check": raises}, "rule ZZ100 raises RuntimeError: boom, on every measured release", Kind.RAISES),
        ({"check": forgets}, "raises KeyError: 'node'", Kind.RAISES),
        ({"check": only_int}, "INT and INT+FP are not refused alike on 1.2.0, 1.3.1", Kind.PROFILES_DIFFER),
        ({"check": fickle()}, "two runs over the same graph find different things", Kind.UNSOUND_FINDING),
        ({"check": check_with(cluster=("gone",))}, "names 'gone', which is not a node", Kind.UNSOUND_FINDING),
        ({"check": check_with(cluster=("x",))}, "nodes are not all in its cluster", Kind.UNSOUND_FINDING),
        ({"check": check_with(message="{node}")}, "field left open", Kind.UNSOUND_FINDING),
        ({"repair": strange_repair}, "repair changes 'nowhere', which is not a node", Kind.UNSOUND_FINDING),
        ({"repair": empty_repair}, "repair changes nothing", Kind.UNSOUND_FINDING),
    ],
)
def test_what_is_wrong_with_a_rule_is_told(changes: dict[str, Any], complaint: str, kind: Kind) -> None:
    found = faults(rule(**changes))
    assert complaint in "\n".join(map(str, found))
    assert kind in {fault.kind for fault in found if complaint in str(fault)}


def test_a_row_that_no_example_shows_is_named_as_data() -> None:
    checked = rule(effects=table(("*", "*", "*"), ("rare", "*", "*")))
    assert [(fault.kind, fault.row) for fault in faults(checked)] == [(Kind.UNSHOWN, checked.effects.rows[1])]


def test_an_effect_that_was_only_read_needs_no_example() -> None:
    effects = table(("*", "*", "*"), ("rare", "*", "*"), evidence=Evidence.SOURCE_READ)
    assert faults(rule(effects=effects)) == ()


def test_another_rule_may_speak_up_only_if_the_example_names_it() -> None:
    assert "ZZ200 is found as well" in told(Coarse(), Other())
    named = (Example("steps of 2", lambda: relu(2.0), companions=("ZZ200",)),)
    assert faults(rule(bad=named), [Other()]) == ()


def test_a_companion_alone_is_not_enough() -> None:
    def silent(self: Rule, view: View, target: Target) -> Iterator[Finding]:
        yield from ()

    named = (Example("steps of 2", lambda: relu(2.0), companions=("ZZ200",)),)
    assert "only ZZ200 is ever found" in told(rule(bad=named, check=silent), Other())


def test_a_rule_may_be_silent_where_the_example_is_not_bad() -> None:
    def late(self: Coarse, view: View, target: Target) -> Iterator[Finding]:
        if target.release_in(">=1.5"):
            yield from Coarse.check(self, view, target)

    assert "finds nothing in this bad example, on INT 1.2.0" in told(rule(check=late))
    assert faults(rule(check=late, bad=(Example("steps", lambda: relu(2.0), only_on=">=1.5"),))) == ()


def test_a_bad_range_of_releases_fails_when_the_example_is_made() -> None:
    """A pack with such an example must not load: a selftest would find it much later, on one release."""
    with pytest.raises(InvalidSpecifier):
        Example("steps", lambda: relu(2.0), only_on="from 1.5 on")


def test_the_rule_itself_is_left_as_it_is() -> None:
    """The check notes which rows are looked up; that must not stay on the rule."""
    checked = Coarse()
    before = checked.effects
    faults(checked)
    assert checked.effects is before
    assert vars(checked) == {}
