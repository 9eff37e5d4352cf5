"""The answer of ``fuseguard why-not`` as text and as JSON-ready data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fuseguard.engine.registry import load_registry
from fuseguard.engine.rule import Rule
from fuseguard.engine.why_not_answer import Part, Step, WhyNot
from fuseguard.report.json import envelope, finding_dict
from fuseguard.report.lines import Line, plain
from fuseguard.report.quoting import name, quoted

_LONGEST = 160  # characters of a condition that are shown

_LEADS = {
    "condition": "The last condition that the rule evaluated for this node did not let it through:",
    "not-considered": "The node is not among what the rule looks at:",
    "not-applicable": "The rule looks at nothing here, because of this condition:",
}


def render(rule: Rule, file: str, answers: Sequence[WhyNot]) -> Iterator[Line]:
    """Each answer: a sentence, then the conditions of the rule and of the models that it asks."""
    for number, answer in enumerate(answers):
        if number:
            yield Line()
        yield from _answer(rule, file, answer)


def text_of(answer: WhyNot) -> str:
    """An answer as plain text."""
    rule = load_registry().get(answer.code)
    return plain(_answer(rule, answer.file or "the program", answer)).rstrip()


def _answer(rule: Rule | None, file: str, answer: WhyNot) -> Iterator[Line]:
    where = f" in {name(answer.graph)}" if answer.graph else ""
    verb = "reports" if answer.reported else "does not report"
    yield Line(
        (f"{answer.code} {answer.name}", "strong"),
        f" {verb} {name(answer.node)} ({name(answer.op)}){where} of {name(file)} for {answer.target}.",
        hang=2,
    )
    if rule is not None:
        yield Line(("  rule", "dim"), f": {rule.summary}", hang=4)
    yield from _outcome(answer)
    for place, step in enumerate(answer.steps):
        yield from _step(step, place)
    if answer.elsewhere:
        yield Line(("  elsewhere", "dim"), f": the rule reports this node for {'; '.join(answer.elsewhere)}", hang=4)


def _outcome(answer: WhyNot) -> Iterator[Line]:
    finding = answer.finding
    if finding is not None:
        if not answer.reported:
            nodes = ", ".join(map(name, finding.nodes))
            text = f"  It reports {nodes}, and must take this node in: they are refused or rewritten together."
            yield Line(text, hang=4)
        yield Line(("  finding", "dim"), f": {quoted(finding.message)}", hang=4)
        yield Line(("  effect", "dim"), f": {finding.effect.value}: {finding.effect.meaning}", hang=4)
    elif answer.outcome in _LEADS and answer.steps:
        yield Line(f"  {_LEADS[answer.outcome]}", hang=4)
    else:
        yield Line(f"  {_said(answer)}", hang=4)


def _said(answer: WhyNot) -> str:
    if answer.outcome == "profile":
        return "The target has no INT profile. Every rule is about integer lowering, so none runs."
    if answer.outcome == "dead":
        return "No output of the program depends on the node. The backend removes it before it lowers anything."
    if answer.outcome == "untraceable":
        return f"The rule could not be followed: {quoted(answer.note)}."
    return "The rule asks no condition about this node."


def _step(step: Step, place: int) -> Iterator[Line]:
    at = f"{step.module.rpartition('.')[2]}.py:{step.line}, in {step.function}"
    if step.kind == "loop":
        yield Line(("    goes through", "dim"), f": {_short(step.text)}", hang=6)
        yield Line((f"      {at}", "place"))
    else:
        label = "result" if step.kind == "result" else "yields" if step.kind == "finding" else "condition"
        lead = "    because the " if place else "    "
        yield Line((f"{lead}{label}", "dim"), f": {_short(step.text)}{_outcome_of(step)}", hang=6)
        yield Line((f"      {at}", "place"))
    if step.kind == "finding":
        yield Line("      What the rule reports there does not name the node.", hang=6)
    if len(step.parts) > 1 or step.kind == "result":
        for part in step.parts:
            yield Line(f"      {'true ' if part.holds else 'false'}  {_short(part.text)}", hang=13)
    for key, text in _values(step.parts):
        yield Line(("      value", "dim"), f"  {_short(key)} = {quoted(text)}", hang=13)
    for key, text in step.where:
        yield Line(("      where", "dim"), f"  {key} = {_short(text)}", hang=13)
    for label, text in (("about", step.doc), ("note", step.comment), ("change", step.change)):
        if text:
            yield Line((f"      {label:5}", "dim"), f"  {quoted(text)}", hang=13)


def _outcome_of(step: Step) -> str:
    if step.kind == "result":
        return f" = {quoted(step.value)}"
    if step.kind == "finding":
        return ""
    returned = f", so {step.function} returns {quoted(step.value)}" if step.value else ""
    return f" is {'true' if step.holds else 'false'}{returned}"


def _values(parts: Sequence[Part]) -> list[tuple[str, str]]:
    """What the part that decided read; what is a node under its own name says nothing."""
    return [(key, text) for key, text in (parts[-1].values if parts else ()) if text and text != key]


def _short(text: str) -> str:
    return quoted(text, _LONGEST)


def to_dict(file: str, answers: Sequence[WhyNot]) -> dict[str, Any]:
    """The same as JSON-ready data."""
    return {**envelope(), "file": file, "answers": [answer_dict(answer) for answer in answers]}


def answer_dict(answer: WhyNot) -> dict[str, Any]:
    """One of the answers."""
    return {
        "code": answer.code,
        "name": answer.name,
        "node": answer.node,
        "op": answer.op,
        "graph": answer.graph,
        "target": answer.target,
        "outcome": answer.outcome,
        "finding": finding_dict(answer.finding) if answer.finding is not None else None,
        "steps": [_step_dict(step) for step in answer.steps],
        "elsewhere": list(answer.elsewhere),
        "note": answer.note,
    }


def _step_dict(step: Step) -> dict[str, Any]:
    return {
        "kind": step.kind,
        "text": step.text,
        "module": step.module,
        "line": step.line,
        "function": step.function,
        "holds": step.holds,
        "value": step.value,
        "parts": [{"text": part.text, "holds": part.holds, "values": _labelled(part.values)} for part in step.parts],
        "comment": step.comment,
        "doc": step.doc,
        "where": _labelled(step.where),
        "change": step.change,
    }


def _labelled(pairs: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"label": key, "value": text} for key, text in pairs]
