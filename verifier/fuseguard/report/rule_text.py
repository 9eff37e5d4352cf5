"""A rule as text: what ``fuseguard explain`` and ``fuseguard rules`` print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fuseguard.engine.effects import EffectRow
from fuseguard.engine.evidence import announced_of, announced_text
from fuseguard.engine.housekeeping import HousekeepingRule
from fuseguard.engine.row_evidence import RowEvidence, evidence_of
from fuseguard.engine.rule import Example, Rule
from fuseguard.report.lines import Line, paragraph


def explain(rule: Rule, pack: str) -> Iterator[Line]:
    """Everything the rule says of itself."""
    yield Line((f"{rule.code} ", "note"), (rule.name, "strong"))
    yield Line()
    yield paragraph(rule.summary)
    yield Line()
    yield from _section("Why is this wrong?", rule.why)
    yield Line(("Effect by release", "strong"))
    for known in evidence_of(rule):
        yield from _effect(known)
    yield from _meanings(rule.effects.rows)
    yield Line()
    yield from _announced(rule)
    yield from _section("Message", rule.message)
    yield from _examples("Flagged examples", rule.bad)
    yield from _examples("Accepted examples", rule.good)
    yield from _section("What to do", rule.remedy)
    if rule.references:
        yield Line(("References", "strong"))
        yield from (paragraph(f"- {reference}", 2) for reference in rule.references)
        yield Line()
    repairable = "yes" if rule.repairable else "no"
    refused = "refuses it on every target" if rule.refused else "accepts it"
    yield paragraph(f"Scope: {rule.scope}. Repairable: {repairable}. Policy consistent {refused}. Rule pack: {pack}.")
    if rule.preview:
        yield paragraph(
            f"Preview: not yet judged on every measured release. It runs only when named, as in --select {rule.code}."
        )


def explain_housekeeping(rule: HousekeepingRule) -> Iterator[Line]:
    """An AR or SU code: it is about a file, a configuration or a baseline, so it has neither effects nor examples."""
    yield Line((f"{rule.code} ", "note"), (rule.name, "strong"))
    yield Line()
    yield paragraph(rule.summary)
    yield Line()
    yield from _section("Why does this matter?", rule.why)
    yield from _section("Message", rule.message)
    yield from _section("What to do", rule.remedy)
    yield paragraph(f"Scope: {rule.scope}. Severity: {rule.severity.value}, unless configured. Part of fuseguard.")


def _effect(known: RowEvidence) -> Iterator[Line]:
    """A row of the effects table: where it applies and the effect, and below that how it is known."""
    row = known.row
    case = "any case" if row.case == "*" else row.case
    releases = "all releases" if row.releases in ("*", "") else f"releases {row.releases}"
    profile = "all profiles" if row.profile == "*" else row.profile
    condition = f" ({row.condition})" if row.condition else ""
    where = f"  {case}, {releases}, {profile}: "
    yield Line(where, (row.effect.value, "strong"), condition, hang=4)
    yield paragraph(str(known) + (f"; {row.reference}" if row.reference else ""), 6)


def _meanings(rows: Sequence[EffectRow]) -> Iterator[Line]:
    for effect in dict.fromkeys(row.effect for row in rows):
        yield Line((f"  {effect.value}", "dim"), f": {effect.meaning}", hang=4)


def _announced(rule: Rule) -> Iterator[Line]:
    pairs = announced_of(rule.code)
    if not pairs:
        return
    yield Line(("Announced upstream", "strong"))
    for announcement, concern in pairs:
        yield paragraph(f"- {announced_text(announcement, concern)}.", 2)
    yield Line()


def _section(title: str, text: str) -> Iterator[Line]:
    yield Line((title, "strong"))
    yield paragraph(text, 2)
    yield Line()


def _examples(title: str, examples: Sequence[Example]) -> Iterator[Line]:
    yield Line((title, "strong"))
    yield from (paragraph(f"- {example.title}", 2) for example in examples)
    yield Line()


def overview(rules: Sequence[Rule | HousekeepingRule]) -> Iterator[Line]:
    """Two lines or more per rule: code, name and what is worth knowing of it, then the summary."""
    for rule in rules:
        known = ["preview"] if rule.preview else []
        known += ["repairable"] if rule.repairable else []
        yield Line((rule.code, "note"), f"  {rule.name}", (f"  ({', '.join(known)})" if known else "", "dim"))
        yield paragraph(rule.summary, 7)
