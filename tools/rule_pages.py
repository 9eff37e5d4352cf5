"""The pages of the rules, made from what each rule says of itself and from what it finds in its own examples."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from fuseguard.engine.archive_rules import ArchiveRule
from fuseguard.engine.evidence import announced_of, announced_text
from fuseguard.engine.finding import Finding, Severity
from fuseguard.engine.housekeeping import HousekeepingRule
from fuseguard.engine.registry import Registry
from fuseguard.engine.row_evidence import evidence_of
from fuseguard.engine.rule import Example, Rule
from fuseguard.engine.rule_examples import PROFILES
from fuseguard.engine.run import run
from fuseguard.ir.graph import Graph
from fuseguard.report.draw.islands import Drawing, Drawings
from fuseguard.report.lines import plain
from fuseguard.report.text import finding_lines
from fuseguard.target import MEASURED_RELEASES, Target
from graph_listing import listing

_ISSUE = re.compile(r"(?:\bexecutorch )?#(\d{3,6})\b")
_ISSUES = "https://github.com/pytorch/executorch/issues/"  # redirects to the pull request, if it is one
_LINES = 60  # of a graph that are shown

#: First digit of a code's family -> what its rules are about.
FAMILIES: dict[str, str] = {
    "FU": "Activations fused into their anchor",
    "QD": "Quantization domains",
    "QP": "Values of qparams",
    "PL": "Placement of quantize and dequantize ops",
    "DT": "Dtypes",
    "BO": "Boundaries of delegates",
    "OP": "Operators and their arguments",
    "AR": "Code that loading the file would run",
    "PG": "The program as a whole, and finished lowerings",
    "SU": "Suppressions, baseline and configuration",
}


#: A line of each page, for readers who do not know the terms.
PRIMER = "[The terms in one page](../primer.md) explains the words that this page uses."


@dataclass(frozen=True, slots=True)
class Shown:
    """A finding in an example, and where."""

    graph: Graph
    target: Target
    finding: Finding


def rule_page(rule: Rule, registry: Registry) -> str:
    """The page of one rule, in Markdown."""
    return "\n".join(_rule_lines(rule, registry)) + "\n"


def _rule_lines(rule: Rule, registry: Registry) -> Iterator[str]:
    yield from (f"# {rule.code}: {rule.name}", "", prose(rule.summary), "", PRIMER, "")
    yield from ("## What to do", "", prose(rule.remedy), "")
    drawing = drawing_of(rule, registry)
    yield from _drawn(rule, drawing)
    yield from _repair(rule, registry, drawing)
    yield from ("## Why is this wrong?", "", prose(rule.why), "")
    yield from ("## At a glance", "", *_facts(rule))
    yield from _effects(rule)
    yield from _bad(rule, registry)
    yield from _good(rule)
    yield from _suppress(rule)
    if rule.references:
        yield from ("## References", "", *(f"- {prose(reference)}" for reference in rule.references), "")


def _facts(rule: Rule) -> Iterator[str]:
    guard = "keeps the findings off the accelerator" if rule.refused else "leaves the findings on the accelerator"
    status = f"preview: runs only when named, as in `--select {rule.code}`" if rule.preview else "stable"
    yield from ("| property | value |", "| --- | --- |")
    yield f"| Status | {status} |"
    yield f"| Scope | {rule.scope} |"
    yield f"| [Guard](../guard.md) | {guard} under the default policy |"
    yield f"| [Repair](../repair.md) | {'yes, for some findings at least' if rule.repairable else 'none'} |"
    if rule.in_program:
        yield "| Where | in the quantized program itself: the eager program shows it too |"
    if rule.follows_from:
        yield f"| Follows from | {', '.join(f'[{code}]({code}.md)' for code in rule.follows_from)} |"
    yield ""


def _effects(rule: Rule) -> Iterator[str]:
    yield from ("## Effect by release", "")
    yield "| case | releases | profile | effect | known from |"
    yield "| --- | --- | --- | --- | --- |"
    for known in evidence_of(rule):
        row = known.row
        cells = (
            "any" if row.case == "*" else row.case,
            "all" if row.releases == "*" else f"`{row.releases}`",
            "all" if row.profile == "*" else row.profile,
            f"`{row.effect.value}`, {_with_article(row.effect.severity)}"
            + (f" ({prose(row.condition)})" if row.condition else ""),
            prose(f"{known}: {row.reference}" if row.reference else str(known)),
        )
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    yield from ("", "The first matching row applies.", "")
    for effect in dict.fromkeys(row.effect for row in rule.effects.rows):
        yield f"- `{effect.value}`: {effect.meaning}"
    yield ""
    announced = announced_of(rule.code)
    if announced:
        yield from ("### Announced upstream", "", "Pull requests announce these changes. They are not measured:", "")
        yield from (f"- {prose(announced_text(item, concern))}." for item, concern in announced)
        yield ""


def _with_article(severity: Severity) -> str:
    return f"an {severity.value}" if severity is Severity.ERROR else f"a {severity.value}"


def _bad(rule: Rule, registry: Registry) -> Iterator[str]:
    yield from ("## Flagged examples", "", *(f"- {prose(example.title)}" for example in rule.bad), "")
    example, shown = worst(rule, registry)
    yield from (f"This is *{prose(example.title)}*:", "", "```text", *_cut(shown.graph), "```", "")
    yield from (f"`fuseguard check` reports, for {shown.target}:", "", "```text")
    yield from plain(finding_lines(shown.finding, shown.target), 100).splitlines()
    yield from ("```", "")


def _good(rule: Rule) -> Iterator[str]:
    yield from ("## Accepted examples", "", *(f"- {prose(example.title)}" for example in rule.good), "")
    example = rule.good[0]
    yield from (f"This is *{prose(example.title)}*:", "", "```text", *_cut(example.graph()), "```", "")


def drawing_of(rule: Rule, registry: Registry) -> Drawing | None:
    """The drawing of the finding that the page shows. None for a rule whose findings are about no node."""
    _, shown = worst(rule, registry)
    return Drawings(shown.graph).draw(shown.finding)


def _drawn(rule: Rule, drawing: Drawing | None) -> Iterator[str]:
    if drawing is None:
        return
    outlined = " The dashed outline is the closed cluster that the guard refuses." if drawing.before.cluster else ""
    yield from (f"![The offending part of a program, drawn](../pictures/rules/{rule.code}.svg)", "")
    yield from (f"*An example, drawn as in the HTML report: the offending nodes and edges are red.{outlined}*", "")


def _repair(rule: Rule, registry: Registry, drawing: Drawing | None) -> Iterator[str]:
    if not rule.repairable:
        return
    # That of the drawn finding first, so that the text and the drawing are about one repair.
    found = [worst(rule, registry), *_all_shown(rule)]
    rewrites = (shown.finding.rewrite for _, shown in found)
    rewrite = next((rewrite for rewrite in rewrites if rewrite is not None), None)
    if rewrite is None:
        return
    exact = "keeps every result the same to the bit" if rewrite.exact else "changes the program's results"
    yield from ("## How it is repaired", "", f"`fuseguard repair` {exact}. In one of the examples below:", "")
    yield from (*(f"- {prose(str(edit))}" for edit in rewrite.edits), "")
    if drawing is not None and drawing.after is not None:
        yield from (f"![The same part after the repair](../pictures/rules/{rule.code}-repaired.svg)", "")
        yield from ("*The same part after the repair: what it inserts or changes is green.*", "")


def _suppress(rule: Rule) -> Iterator[str]:
    yield from ("## Suppress it", "", "To accept a finding, add this to `pyproject.toml`:", "")
    yield from (
        "```toml",
        "[[tool.fuseguard.suppressions]]",
        f'rule = "{rule.code}"',
        'module = "encoder.*"  # or op, or node',
        'reason = "why this is accepted"',
        "```",
        "",
        "[The CI gate](../ci-gate.md) explains suppressions with a date, and baselines.",
        "",
    )


def worst(rule: Rule, registry: Registry) -> tuple[Example, Shown]:
    """The first bad example and target, newest release first, on which the rule's effect is at its worst.

    The finding is as a check with all rules tells it.
    """
    example, alone = max(_all_shown(rule), key=lambda pair: pair[1].finding.severity.rank)
    beside = tuple(dict.fromkeys((*registry.select(), rule)))
    found = run(alone.graph, alone.target, beside).findings
    (finding,) = (item for item in found if item.fingerprint == alone.finding.fingerprint)
    return example, Shown(alone.graph, alone.target, finding)


@cache
def _all_shown(rule: Rule) -> list[tuple[Example, Shown]]:
    """What the rule alone finds in its bad examples on all releases. With all rules it would take far longer."""
    shown = []
    for example in rule.bad:
        for release in reversed(MEASURED_RELEASES):
            for profile in reversed(PROFILES):
                target = rule.example_target(example.spec(profile), release)
                graph = example.graph()
                shown += [
                    (example, Shown(graph, target, finding))
                    for finding in run(graph, target, (rule,)).findings
                ]
    return shown


def housekeeping_page(rule: HousekeepingRule) -> str:
    """The page of an AR, PG or SU code, which concerns no single node of a program."""
    about, page = "a configuration or a baseline, not a program", "[the CI gate](../ci-gate.md)"
    if isinstance(rule, ArchiveRule):
        about = "the file, and what loading it would run"
        page = "[security](../security.md), and how to accept it in [the configuration](../configuration.md)"
    elif rule.scope == "program":
        about, page = "a program as a whole, or its delegates", "[the files that fuseguard reads](../formats.md)"
    lines = (
        f"# {rule.code}: {rule.name}", "", prose(rule.summary), "", PRIMER, "",
        "## What to do", "", prose(rule.remedy), "",
        "## Why does this matter?", "", prose(rule.why), "",
        "## At a glance", "",
        "| property | value |", "| --- | --- |", f"| Severity | {rule.severity.value}, unless configured |",
        f"| About | {about} |", "",
        f"See {page}.", "",
    )  # fmt: skip
    return "\n".join(lines)


def index_page(registry: Registry) -> str:
    """The table of all rules, by family."""
    lines = [
        "# Rules", "",
        "Codes are permanent: a number is never given to another rule. `fuseguard explain CODE` prints the content of "
        "these pages in the terminal. Preview rules are not yet judged on every measured release, and run only when "
        "named.", "",
    ]  # fmt: skip
    families: dict[str, list[Rule | HousekeepingRule]] = {}
    for rule in registry.everything:
        families.setdefault(rule.code[:-3], []).append(rule)
    for family in sorted(families, key=lambda family: (list(FAMILIES).index(family), family)):
        lines += [f"## {family}: {FAMILIES[family]}", "", "| code | name | finds | severity | repair |"]
        lines += ["| --- | --- | --- | --- | --- |", *(_row(rule) for rule in families[family]), ""]
    return "\n".join(lines)


def _row(rule: Rule | HousekeepingRule) -> str:
    code = f"[{rule.code}]({rule.code}.md)"
    name = f"{rule.name} (preview)" if rule.preview else rule.name
    return f"| {code} | {name} | {prose(rule.summary)} | {_severities(rule)} | {'yes' if rule.repairable else '-'} |"


def _severities(rule: Rule | HousekeepingRule) -> str:
    if isinstance(rule, HousekeepingRule):
        return rule.severity.value
    severities = {row.effect.severity for row in rule.effects.rows}
    return ", ".join(severity.value for severity in sorted(severities, key=lambda severity: -severity.rank))


def _cut(graph: Graph) -> Sequence[str]:
    lines = list(listing(graph))
    return lines if len(lines) <= _LINES else [*lines[:_LINES], f"... and {len(lines) - _LINES} more"]


def prose(text: str) -> str:
    """Running text as Markdown: nothing in it is markup, and issues are links."""
    # An underscore inside a word is not markup, nor are brackets that nothing follows.
    escaped = re.sub(r"([\\`*<]|\b_|_\b|^>|\[(?=[^\]]*\][(\[]))", r"\\\1", " ".join(text.split()))
    return _ISSUE.sub(lambda match: f"[{match[0]}]({_ISSUES}{match[1]})", escaped)
