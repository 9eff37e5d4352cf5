"""One line a finding, as compilers write them, so that editors and grep take it."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.engine.finding import Finding, Severity
from fuseguard.gate.result import CheckResult, FileResult
from fuseguard.report.effects import effects_short
from fuseguard.report.lines import Line, Style
from fuseguard.report.locations import Locator
from fuseguard.report.options import Options
from fuseguard.report.quoting import name, quoted
from fuseguard.report.statistics import statistics_lines
from fuseguard.report.text import summary

_STYLES: dict[Severity, Style] = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}


def render(result: CheckResult, options: Options | None = None, *, errors: bool = True) -> Iterator[Line]:
    """``file:line: CODE message (severity; module; program)`` per finding; the rest is as in the text report."""
    options = options or Options()
    locator = options.locator()
    for file in result.files:
        yield from _file(file, options, locator, errors)
    if options.statistics:
        yield from statistics_lines(result)
    if not options.quiet:
        yield summary(result)


def _file(result: FileResult, options: Options, locator: Locator, errors: bool) -> Iterator[Line]:
    file = quoted(result.file) or "program"
    if result.error is not None and errors:
        message = result.trouble.removeprefix(result.file).removeprefix(": ")
        # An internal error has several lines; the rest is advice.
        yield Line((file, "place"), ": ", ("error", "error"), f": {quoted(message.splitlines()[0])}")
    report = result.report
    if report is None:
        return
    if not options.statistics:
        for finding in report.findings:
            yield _finding(finding, file, locator)
    for failure in report.failures:
        text = f" rule {quoted(failure.code)} failed: {quoted(failure.error)}"
        yield Line((file, "place"), ": ", ("error", "error"), f":{text}")
    if not options.quiet:
        for notice in report.notices:
            yield Line((file, "place"), ": ", ("notice", "note"), f": {quoted(notice)}")


def _finding(finding: Finding, file: str, locator: Locator) -> Line:
    severity = finding.severity
    graph = f" of {name(finding.graph)}" if finding.graph else ""
    module = f"module {name(finding.module)}; " if finding.module else ""
    program = f"{module}{file}, node {name(finding.nodes[0])}{graph}" if finding.nodes else f"{module}{file}"
    return Line(
        (f"{place(finding, locator) or file}: ", "place"),
        (quoted(finding.code), _STYLES[severity]),
        f" {quoted(finding.message)} ",
        (f"({effects_short(finding)}; {program})", "dim"),
    )


def place(finding: Finding, locator: Locator) -> str:
    """``file:line``: below the source root if it is there, else as it was recorded; "" if no line is known."""
    location = locator.locate(finding)
    if location.line:
        return f"{quoted(location.path)}:{location.line}"
    return name(str(finding.source)) if finding.source is not None else ""
