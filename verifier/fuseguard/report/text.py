"""The text report: what is wrong where, what this target makes of it, what to do."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.engine.finding import Finding, Severity
from fuseguard.engine.run import RuleFailure
from fuseguard.report.lines import Line, Style, clean
from fuseguard.report.numbers import counted, short
from fuseguard.report.result import CheckResult, FileResult
from fuseguard.target import Target

_CODE = 160  # characters of a source line that are shown
_MARKER = 72  # a longer marker would wrap, and say no more
_LABEL = 10  # width of the column of labels: "evidence" and a little air
_STYLES: dict[Severity, Style] = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}


def render(result: CheckResult, *, quiet: bool = False, errors: bool = True) -> Iterator[Line]:
    """The report line by line.

    ``quiet`` leaves out notices and the summary, so that a clean run says nothing. ``errors=False`` leaves out
    files that could not be checked, for when they are told on stderr.
    """
    for file in result.files:
        yield from _file(file, result.target, quiet, errors)
    if not quiet:
        yield _summary(result)


def _file(result: FileResult, target: Target, quiet: bool, errors: bool) -> Iterator[Line]:
    if result.error is not None and errors:
        yield Line(("error", "error"), f": {clean(result.trouble)}", hang=2)
        yield Line()
    report = result.report
    if report is None:
        return
    if report.findings or report.failures or (report.notices and not quiet):
        yield Line((clean(result.file) or "program", "strong"))
        yield Line()
    for finding in report.findings:
        yield from finding_lines(finding, target)
        yield Line()
    if not quiet:
        for notice in report.notices:
            yield Line(("notice", "note"), f": {clean(notice)}", hang=2)
            yield Line()
    for failure in report.failures:
        yield _failure(failure)
        yield Line()


def finding_lines(finding: Finding, target: Target) -> Iterator[Line]:
    """One finding."""
    severity = finding.severity
    yield Line((f"{severity.value}[{clean(finding.code)}]", _STYLES[severity]), (f" {clean(finding.name)}", "strong"))
    yield from _place(finding)
    yield Line(f"  {clean(finding.message)}", hang=2)
    if finding.caused_by:
        yield _field("follows", f"from {clean(finding.caused_by)} at the same place; see to that first")
    if finding.module or finding.module_type:
        kind = f" ({clean(finding.module_type)})" if finding.module_type else ""
        yield _field("module", f"{clean(finding.module) or '(top level)'}{kind}")
    graph = f" (in control-flow body {clean(finding.graph)})" if finding.graph else ""
    yield _field("nodes", f"{clean(', '.join(finding.nodes))}{graph}")
    yield from _island(finding)
    for label, value in finding.details:
        yield _field(clean(label), clean(value))
    yield _field("effect", f"{finding.effect.value}: {finding.effect.meaning}", _STYLES[severity])
    yield _field("on", str(target))
    note = f" ({clean(finding.evidence_note)})" if finding.evidence_note else ""
    yield _field("evidence", f"{finding.evidence.value}{note}")
    bound = _bound(finding)
    if bound:
        yield _field("worst", bound)
    if finding.refuse:
        cluster = clean(", ".join(finding.cluster))
        yield _field("guard", f"keeps {cluster} off the accelerator")
    yield _field("remedy", clean(finding.remedy))
    if finding.repairable:
        yield _field("repair", "fuseguard can repair this bit-exactly")


def _place(finding: Finding) -> Iterator[Line]:
    source = finding.source
    if source is None:
        yield Line(("  --> ", "dim"), (f"{clean(finding.file) or 'program'}, node {clean(finding.nodes[0])}", "place"))
        return
    function = f", in {clean(source.function)}" if source.function else ""
    yield Line(("  --> ", "dim"), (clean(str(source)), "place"), function)
    code = clean(source.code).strip()
    if not code:
        return  # the file names a line of the exporting machine; reading that path here could show anything
    if len(code) > _CODE:
        code = f"{code[:_CODE]}..."
    number = str(source.line)
    gutter = " " * len(number)
    yield Line((f"  {gutter} |", "dim"))
    yield Line((f"  {number} | ", "dim"), code, hang=len(number) + 5)
    yield Line((f"  {gutter} | ", "dim"), ("^" * min(len(code), _MARKER), _STYLES[finding.severity]))


def _island(finding: Finding) -> Iterator[Line]:
    if not finding.island and not finding.qparams:
        return
    yield _field("island", clean(finding.island))
    width = max((len(clean(label)) for label, _ in finding.qparams), default=0)
    for label, value in finding.qparams:
        start = f"{'':{2 + _LABEL}}  {clean(label):{width}}  "
        yield Line((start, "dim"), clean(value), hang=len(start))


def _bound(finding: Finding) -> str:
    """The exact worst error, in steps and in real units, as far as known."""
    steps, value = finding.bound_steps, finding.bound_value
    if steps is None:
        return "" if value is None else f"off by at most {short(value)}"
    amount = f"{short(steps)} step" if steps == 1 else f"{short(steps)} steps"
    return f"off by at most {amount} of the output" + ("" if value is None else f", which is {short(value)}")


def _field(label: str, value: str, style: Style = "") -> Line:
    start = f"  {label:{_LABEL}}"
    return Line((start if len(label) < _LABEL else f"  {label}  ", "dim"), (value, style), hang=2 + _LABEL)


def _failure(failure: RuleFailure) -> Line:
    where = f" in {clean(failure.graph)}" if failure.graph else ""
    text = f"rule {clean(failure.code)} failed{where}: {clean(failure.error)}. What it would have found is missing"
    return Line(("error", "error"), f": {text}; please report it to the authors of its rule pack.", hang=2)


def _summary(result: CheckResult) -> Line:
    counts = {severity: result.count(severity) for severity in (Severity.ERROR, Severity.WARNING, Severity.NOTE)}
    worst = next((severity for severity, count in counts.items() if count), None)
    found = ", ".join(counted(count, severity.value) for severity, count in counts.items())
    size = f"{counted(result.nodes, 'node')}, {counted(result.islands, 'island')}"
    files = f" of {counted(len(result.files), 'file')}" if len(result.files) > 1 else ""
    troubles = [
        f"{counted(number, 'file')} {what}"
        for number, what in (
            (result.errors("unreadable"), "could not be read"),
            (result.errors("internal"), "could not be checked"),
        )
        if number
    ]
    if result.failures:
        troubles.append(counted(result.failures, "rule failure"))
    spoiled: Style = "error" if troubles else "good"
    trouble = f" ({', '.join(troubles)})" if troubles else ""
    style = _STYLES[worst] if worst is not None else spoiled
    return Line((found, style), f" in {size}{files}{trouble}; target {result.target}; policy {result.policy}")
