"""What a notebook shows for a result: a table that every viewer shows, and the HTML report in a frame.

Viewers that clean notebooks of scripts and frames, as code hosts do, leave the table.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from fuseguard.engine.finding import Finding, Severity
from fuseguard.engine.registry import load_registry
from fuseguard.engine.run import Report
from fuseguard.engine.shown import counted
from fuseguard.gate.result import of_report
from fuseguard.report import proof_html as proof_page
from fuseguard.report.effects import effects_short
from fuseguard.report.html import render
from fuseguard.report.numbers import short
from fuseguard.report.options import Options
from fuseguard.report.quoting import name, quoted

if TYPE_CHECKING:  # they import torch
    from fuseguard.engine.rounds import Repair
    from fuseguard.executorch.guard_report import GuardReport
    from fuseguard.executorch.placements import Placement
    from fuseguard.executorch.proof import Proof
    from fuseguard.executorch.repairs import RepairResult
    from fuseguard.executorch.verified_repair import VerifiedRepair

#: Rules that a table of findings lists, and repairs that a table of repairs lists.
_MOST_ROWS = 20
#: Jupyter aligns cells to the right, as numbers are; these hold text.
_LEFT = 'style="text-align:left"'
#: Characters of a page that a notebook keeps; a larger report is left to the browser.
_LARGEST_FRAME = 4 * 1024 * 1024


def report_html(report: Report) -> str:
    """The table of a report and its page in a frame. No script of the page reaches the notebook."""
    counts = ", ".join(
        counted(number, level.value)
        for level in Severity
        if (number := sum(finding.severity is level for finding in report.findings))
    )
    targets = ", ".join(map(str, report.targets or (report.target,)))
    size = f"{counted(report.nodes, 'node')}, {counted(report.islands, 'island')}"
    heading = f"<b>fuseguard: {html.escape(counts or 'nothing found')}</b> in {size}; {html.escape(quoted(targets))}"
    return f"<div><p>{heading}</p>{_notices(report)}{_table(report.findings)}{_frame(report)}</div>"


def _notices(report: Report) -> str:
    told = [*report.notices, *(f"rule {failure.code} failed: {failure.error}" for failure in report.failures)]
    return "".join(f"<p>{html.escape(quoted(text))}</p>" for text in told)


def _table(findings: Sequence[Finding]) -> str:
    """A row for each rule: how often, how bad, where first."""
    by_rule: dict[str, list[Finding]] = {}
    for finding in findings:
        by_rule.setdefault(finding.code, []).append(finding)
    rows = [
        (
            f"{quoted(code)} {quoted(found[0].name)}",
            str(len(found)),
            effects_short(found[0]),
            _place(found[0]),
            str(sum(finding.repairable for finding in found)),
        )
        for code, found in by_rule.items()
    ]
    return _rows_of(("rule", "findings", "worst effect", "first place", "repairable"), rows, "rule")


def _place(finding: Finding) -> str:
    """The module of a finding, or its island, or its first node."""
    return name(finding.module or finding.island or (finding.nodes[0] if finding.nodes else ""))


def _rows_of(headings: Sequence[str], rows: Sequence[Sequence[str]], noun: str) -> str:
    """A table of the first rows, and how many more there are; "" without any."""
    if not rows:
        return ""
    left = len(rows) - _MOST_ROWS
    more = f"<p>and {html.escape(counted(left, f'more {noun}'))}</p>" if left > 0 else ""
    body = "".join(_row(row) for row in rows[:_MOST_ROWS])
    return f"<table><thead>{_row(headings, 'th')}</thead><tbody>{body}</tbody></table>{more}"


def _row(cells: Iterable[str], tag: str = "td") -> str:
    return f"<tr>{''.join(f'<{tag} {_LEFT}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"


def proof_html(proof: Proof) -> str:
    """The outcome of a proof, and its page in a frame."""
    names = [f"input set {number}" for number in range(1, len(proof.by_inputs) + 1)] or ["inputs"]
    heading = f"<b>fuseguard: {html.escape(quoted(proof.outcome))}</b> on {html.escape(quoted(proof.target))}"
    page = proof_page.render(proof, "", names)
    return f"<div><p>{heading}</p>{frame(page, 'fuseguard prove --report html=PATH')}</div>"


def repair_html(result: RepairResult) -> str:
    """The repairs made, what remains, and the page of the program as it was: each island before and after."""
    return f"<div>{_repair_parts(result)}{_before(result)}</div>"


def verified_repair_html(verified: VerifiedRepair) -> str:
    """As :func:`repair_html`, with the comparison of the results, and the proof's page where the judge was asked."""
    error = verified.eager_error
    equal = "equal to the bit" if error == 0 else f"off by {short(error)} at most"
    tried = f"<p>Eager results: {html.escape(equal)}, on {counted(verified.runs, 'set')} of inputs.</p>"
    proof = proof_html(verified.proof) if verified.proof is not None else "<p>The judge was not asked.</p>"
    return f"<div>{_repair_parts(verified.result)}{tried}{_before(verified.result)}{proof}</div>"


def _repair_parts(result: RepairResult) -> str:
    made = counted(len(result.applied), "repair")
    kind = "" if not result.applied else ", bit-exact" if result.exact else ", not all of them bit-exact"
    heading = f"<b>fuseguard: {html.escape(made + kind)}</b> for {html.escape(quoted(result.target))}"
    rows = [_repair_row(repair) for repair in result.applied]
    repairs = _rows_of(("repaired", "place", "change", "exact"), rows, "repair")
    remaining = _table(result.remaining)
    return f"<p>{heading}</p>{repairs}{'<p>Remaining:</p>' if remaining else ''}{remaining}"


def _repair_row(repair: Repair) -> tuple[str, ...]:
    finding = repair.finding
    change = "; ".join(quoted(str(edit)) for edit in repair.rewrite.edits)
    exact = "bit-exact" if repair.exact else "inexact"
    return (f"{quoted(finding.code)} {quoted(finding.name)}", _place(finding), change, exact)


def _before(result: RepairResult) -> str:
    """The page of the program as it was before the repair."""
    if result.before is None or not result.before.findings:
        return ""
    return f"<p>The program before the repair, with each island as it was and as repaired:</p>{_frame(result.before)}"


def guard_html(report: GuardReport) -> str:
    """What a guard refused, fixed and could not check; the program itself has the places (:func:`report_html`)."""
    refused = counted(len(report.refused), "node")
    heading = f"<b>fuseguard: {html.escape(refused)} refused</b> for {html.escape(quoted(report.target))}"
    parts = [f"<p>{heading}, policy {html.escape(quoted(report.policy))}</p>", _table(report.findings)]
    if report.fixed:
        parts += ["<p>Fixed in the program itself:</p>", _table(report.fixed)]
    parts += [f"<p>error at {html.escape(quoted(where))}: {html.escape(quoted(text))}</p>"
              for where, text in report.errors]  # fmt: skip
    return f"<div>{''.join(parts)}</div>"


def placement_html(placement: Placement) -> str:
    """How many ops are on the CPU, and a row for each of them with its source line and all reasons."""
    heading = f"<b>fuseguard: {html.escape(counted(len(placement.ops), 'op'))} on the CPU</b>"
    guarded = f"guarded (policy {placement.policy})" if placement.policy else "without the guard"
    size = f"{counted(placement.delegated, 'op')} in {counted(placement.partitions, 'delegate')}"
    told = html.escape(quoted(f"{size}; {placement.target}, {guarded}"))
    rows = [
        (name(item.module), name(str(item.source or "")), name(item.op), name(item.before or item.node),
         "; ".join(quoted(f"{reason.check or reason.kind}: {reason.text}") for reason in item.reasons))
        for item in placement.ops
    ]  # fmt: skip
    errors = "".join(f"<p>not asked: {html.escape(quoted(error))}</p>" for error in placement.errors)
    table = _rows_of(("module", "line", "op", "node", "reasons"), rows, "op")
    vela = f"<p>{html.escape(quoted(str(placement.vela)))}</p>" if placement.vela is not None else ""
    return f"<div><p>{heading}, {told}</p>{table}{vela}{errors}</div>"


def _frame(report: Report) -> str:
    if not report.findings:
        return ""
    rules = {rule.code: rule for rule in load_registry().rules}
    return frame(render(of_report(report), Options(rules=rules)), "fuseguard.render(report, 'html')")


def frame(page: str, written_by: str) -> str:
    """A page in a frame; of one that is too large for a notebook, how it is written to a file instead."""
    if len(page) > _LARGEST_FRAME:
        return f"<p>The whole report is too large for a notebook; write it with {html.escape(written_by)}.</p>"
    # Without allow-same-origin, the frame can neither read the notebook nor keep anything.
    return (
        f'<iframe title="fuseguard report" sandbox="allow-scripts" srcdoc="{html.escape(page)}" '
        f'style="width:100%;height:640px;border:1px solid #8885"></iframe>'
    )
