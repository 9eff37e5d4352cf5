"""A rule as Markdown, for places that show help beside a finding."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.engine.evidence import announced_of, announced_text
from fuseguard.engine.row_evidence import evidence_of
from fuseguard.engine.rule import Rule


def rule_markdown(rule: Rule) -> str:
    """What the rule finds, why it matters, what each release makes of it, and what to do."""
    return "\n".join(_lines(rule)).strip() + "\n"


def _lines(rule: Rule) -> Iterator[str]:
    yield f"# {_text(rule.code)}: {_text(rule.name)}"
    yield from ("", _text(rule.summary), "", "## Why is this wrong?", "", _text(rule.why), "")
    yield from ("## Effect by release", "")
    yield from (
        "| case | releases | profile | effect | evidence | reference |",
        "| --- | --- | --- | --- | --- | --- |",
    )
    for known in evidence_of(rule):
        row = known.row
        cells = (
            "any" if row.case == "*" else row.case,
            "all" if row.releases in ("*", "") else row.releases,
            "all" if row.profile == "*" else row.profile,
            "; ".join(filter(None, (f"{row.effect.value}: {row.effect.meaning}", row.condition))),
            str(known),
            row.reference or "-",
        )
        yield f"| {' | '.join(_text(cell).replace('|', chr(92) + '|') for cell in cells)} |"
    announced = announced_of(rule.code)
    if announced:
        yield from ("", "## Announced upstream", "")
        yield from (f"- {_text(announced_text(item, concern))}." for item, concern in announced)
    yield from ("", "## What to do", "", _text(rule.remedy))
    if rule.repairable:
        yield from ("", "`fuseguard repair` can fix most of its findings.")
    yield from ("", "## Flagged examples", "", *(f"- {_text(example.title)}" for example in rule.bad))
    if rule.references:
        yield from ("", "## References", "", *(f"- {_text(reference)}" for reference in rule.references))


def _text(text: str) -> str:
    """One line; less-than signs would start HTML."""
    return " ".join(text.split()).replace("<", "&lt;")
