"""The text report: what is wrong where, its effect on this target, what to do."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from fuseguard.engine.effort import TooMuchWork
from fuseguard.engine.finding import Effect, Finding, Outcome, Severity, SuppressionKind
from fuseguard.engine.run import RuleFailure, TooMuchFound
from fuseguard.engine.shown import counted, place_of
from fuseguard.gate.result import CheckResult, FileResult
from fuseguard.report.effects import evidence_text
from fuseguard.report.grouped import WIDTH, counted_steps, groups, message, places, repairs_known
from fuseguard.report.lines import Line, Style
from fuseguard.report.matrix import matrix_lines
from fuseguard.report.next_step import next_lines
from fuseguard.report.numbers import short
from fuseguard.report.options import Options
from fuseguard.report.quoting import MAX_LISTED, labelled, listed, name, quoted
from fuseguard.report.statistics import statistics_lines
from fuseguard.target import Target

_CODE = 160  # characters of a source line that are shown
_MARKER = 72  # a longer marker would wrap, and say no more
_LABEL = 10  # width of the column of labels: "evidence" and a little air
_RELEASE = ", ExecuTorch "  # between a target and its release (Target.__str__)
_STYLES: dict[Severity, Style] = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}


def render(result: CheckResult, options: Options | None = None, *, errors: bool = True) -> Iterator[Line]:
    """The report line by line.

    Findings with one cause are one entry with a table of places, unless ``options.verbose``. ``options.quiet`` leaves
    out notices and the summary, so that a clean run says nothing. ``errors=False`` leaves out files that could not be
    checked, for when they are told on stderr.
    """
    options = options or Options()
    for file in result.files:
        yield from _file(file, result.target, options, errors)
    if options.statistics:
        yield from statistics_lines(result)
    if not options.quiet:
        if len(result.targets) > 1:
            yield from matrix_lines(result, statistics=options.statistics)
        yield summary(result)
        yield from next_lines(result)


def _file(result: FileResult, target: Target, options: Options, errors: bool) -> Iterator[Line]:
    if result.error is not None and errors:
        yield Line(("error", "error"), f": {quoted(result.trouble)}", hang=2)
        yield Line()
    report = result.report
    if report is None:
        return
    findings = () if options.statistics else report.findings
    if findings or report.failures or (report.notices and not options.quiet):
        yield Line((name(result.file) or "program", "strong"))
        yield Line()
    for group in [(finding,) for finding in findings] if options.verbose else groups(findings):
        yield from finding_lines(group[0], target) if len(group) == 1 else group_lines(group, target)
        yield Line()
    if not options.quiet:
        for notice in report.notices:
            yield Line(("notice", "note"), f": {quoted(notice)}", hang=2)
            yield Line()
    for failure in report.failures:
        yield failure_line(failure)
        yield Line()


def finding_lines(finding: Finding, target: Target) -> Iterator[Line]:
    """One finding."""
    severity = finding.severity
    yield Line((f"{severity.value}[{quoted(finding.code)}]", _STYLES[severity]), (f" {quoted(finding.name)}", "strong"))
    yield from _place(finding)
    yield Line(f"  {quoted(finding.message)}", hang=2)
    if finding.caused_by:
        yield _field("follows", f"from {quoted(finding.caused_by)} at the same place; see to that first")
    if finding.module or finding.module_type:
        kind = f" ({name(finding.module_type)})" if finding.module_type else ""
        yield _field("module", f"{name(finding.module) or '(top level)'}{kind}")
    if finding.nodes:
        graph = f" (in the graph {name(finding.graph)})" if finding.graph else ""
        yield _field("nodes", f"{listed(finding.nodes)}{graph}")
    yield from _island(finding)
    for label, value in finding.details:
        yield _field(quoted(label), quoted(value))
    yield from _effect(finding, target)
    bound = _bound(finding)
    if bound:
        yield _field("worst", bound)
    if finding.refuse:
        yield _field("guard", f"keeps {listed(finding.cluster)} off the accelerator{_why_refused(finding)}")
    yield _field("remedy", quoted(finding.remedy))
    if finding.effect.of_backend:
        yield _field("repair", repair_known(finding))


def group_lines(findings: Sequence[Finding], target: Target) -> Iterator[Line]:
    """Several findings of :func:`fuseguard.report.grouped.groups`."""
    first = findings[0]
    severity = first.severity
    yield Line(
        (f"{severity.value}[{quoted(first.code)}]", _STYLES[severity]),
        (f" {quoted(first.name)}", "strong"),
        f": {len(findings)} places",
        (" (--verbose shows each in full)", "dim"),
    )
    if first.source is not None:
        function = f", in {quoted(first.source.function)}" if first.source.function else ""
        more = f"{function} and {len(findings) - 1} more"
        yield Line(("  --> ", "dim"), (name(place_of(first.source)), "place"), more, hang=6)
        yield from _called_from(first)
    yield Line(f"  {message(findings)}", hang=2)
    if first.caused_by:
        yield _field("follows", f"from {quoted(first.caused_by)} at the same places; see to that first")
    yield from _effect(first, target)
    if first.refuse:
        yield _field("guard", f"keeps all of them off the accelerator{_why_refused(first)}")
    yield _field("remedy", quoted(first.remedy))
    yield _field("repair", repairs_known(findings))
    yield Line()
    yield from places(findings)


def _effect(finding: Finding, target: Target) -> Iterator[Line]:
    """What the backend does, on which target, and how that is known."""
    if not finding.effect.of_backend:
        return
    yield _field("effect", f"{finding.effect.value}: {finding.effect.meaning}", _STYLES[finding.severity])
    if len(finding.outcomes) > 1:
        yield from _outcomes(finding.outcomes)
        return
    yield _field("on", str(target))
    if finding.evidence is not None:
        yield _field("evidence", quoted(evidence_text(finding)))


def _why_refused(finding: Finding) -> str:
    """Why the guard refuses what a note is about, "" where an error speaks for itself."""
    if finding.severity is not Severity.NOTE or len(finding.outcomes) > 1:
        return ""
    if finding.effect is Effect.BOUNDED:
        return ", since the policy is bit-exact"
    return ", since other targets or releases break it (policy consistent)"


def repair_known(finding: Finding) -> str:
    """Whether fuseguard can repair it, in words."""
    if finding.repairable:
        return "fuseguard can repair this bit-exactly"
    if finding.unsafe_repair:
        return "no bit-exact one is known; --unsafe-repairs makes an inexact one and measures its error"
    return "no bit-exact one is known; follow the remedy"


def _outcomes(outcomes: Sequence[Outcome]) -> Iterator[Line]:
    """What each target makes of one place: a line for each, or two where one would be too wide."""
    told = list(_told(outcomes))
    wide, less = max(len(target) for target, *_ in told), max(len(effect) for _, effect, *_ in told)
    both = any(2 + _LABEL + wide + 2 + less + 2 + len(evidence) > WIDTH for *_, evidence in told)
    for number, (target, effect, style, evidence) in enumerate(told):
        start = f"  {'on' if number == 0 else '':{_LABEL}}"
        below = Line("  " + " " * len(start), (f"{effect:{less}}", style), f"  {evidence}", hang=len(start) + 4 + less)
        if both:
            yield Line((start, "dim"), target, hang=len(start) + 2)
            yield below
        else:
            yield Line((start, "dim"), f"{target:{wide}}  ", *below.spans[1:], hang=len(start))


def _told(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, str, Style, str]]:
    """Target, effect, its style and its evidence; releases of one target with the same outcome are one entry."""
    for (spec, effect, style, evidence), same in itertools.groupby(outcomes, _one_of_them):
        releases = [outcome.target.partition(_RELEASE)[2] for outcome in same]
        yield quoted(f"{spec}{_RELEASE}{', '.join(releases)}" if any(releases) else spec), effect, style, evidence


def _one_of_them(outcome: Outcome) -> tuple[str, str, Style, str]:
    """All but the release."""
    effect = outcome.effect.value if outcome.effect else "nothing found"
    style: Style = _STYLES[outcome.severity] if outcome.severity else "good"
    return outcome.target.partition(_RELEASE)[0], effect, style, quoted(evidence_text(outcome))


def _place(finding: Finding) -> Iterator[Line]:
    source = finding.source
    if source is None:
        where = name(finding.file) or "program"
        node = f", node {name(finding.nodes[0])}" if finding.nodes else ""
        yield Line(("  --> ", "dim"), (f"{where}{node}", "place"))
        return
    function = f", in {quoted(source.function)}" if source.function else ""
    yield Line(("  --> ", "dim"), (name(place_of(source)), "place"), function, hang=6)
    code = quoted(source.code).strip()
    if code:  # else the file names a line of the exporting machine; reading that path here could show anything
        yield from _code(code, source.line, _STYLES[finding.severity])
    yield from _called_from(finding)


def _called_from(finding: Finding) -> Iterator[Line]:
    called = finding.called_from
    if called is not None:
        function = f", in {quoted(called.function)}" if called.function else ""
        text = f": {quoted(called.code, _CODE).strip()}" if called.code.strip() else ""
        yield Line(("  called from ", "dim"), (name(place_of(called)), "place"), f"{function}{text}", hang=4)


def _code(code: str, line: int, style: Style) -> Iterator[Line]:
    """A source line with its number, marked below."""
    if len(code) > _CODE:
        code = f"{code[:_CODE]}..."
    number = str(line)
    gutter = " " * len(number)
    yield Line((f"  {gutter} |", "dim"))
    yield Line((f"  {number} | ", "dim"), code, hang=len(number) + 5)
    yield Line((f"  {gutter} | ", "dim"), ("^" * min(len(code), _MARKER), style))


def _island(finding: Finding) -> Iterator[Line]:
    if not finding.island and not finding.qparams:
        return
    yield _field("island", name(finding.island))
    shown = labelled(finding.qparams, MAX_LISTED)
    width = max((len(name(label)) for label, _ in shown), default=0)
    for label, value in shown:
        start = f"{'':{2 + _LABEL}}  {name(label):{width}}  "
        yield Line((start, "dim"), quoted(value), hang=len(start))


def _bound(finding: Finding) -> str:
    """The exact worst error, in steps and in real units, as far as known."""
    steps, value = finding.bound_steps, finding.bound_value
    if steps is None:
        return "" if value is None else f"off by at most {short(value)}"
    in_units = "" if value is None else f", which is {short(value)}"
    return f"off by at most {counted_steps(steps)} of the output{in_units}"


def _field(label: str, value: str, style: Style = "") -> Line:
    start = f"  {label:{_LABEL}}"
    return Line((start if len(label) < _LABEL else f"  {label}  ", "dim"), (value, style), hang=2 + _LABEL)


#: What to do where the program is the reason that a rule gave up, and not a fault of the rule. By the error.
_ADVICE = {
    TooMuchFound.__name__: "repair what is listed, then check again",
    TooMuchWork.__name__: "export and check the model in parts",
}


def failure_line(failure: RuleFailure) -> Line:
    """A rule that raised."""
    where = f" in {quoted(failure.graph)}" if failure.graph else ""
    text = f"rule {quoted(failure.code)} failed{where}: {quoted(failure.error)}. What it would have found is missing"
    kind = failure.error.partition(":")[0]
    advice = _ADVICE.get(kind, "please report it to the authors of its rule pack")
    return Line(("error", "error"), f": {text}; {advice}.", hang=2)


def summary(result: CheckResult) -> Line:
    """What was found in how much, and what went wrong."""
    counts = {severity: result.count(severity) for severity in (Severity.ERROR, Severity.WARNING, Severity.NOTE)}
    worst = next((severity for severity, count in counts.items() if count), None)
    found = ", ".join(counted(count, severity.value) for severity, count in counts.items())
    size = f"{counted(result.nodes, 'node')}, {counted(result.islands, 'island')}"
    files = f" of {counted(len(result.programs), 'file')}" if len(result.programs) > 1 else ""
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
    several = len(result.targets) > 1
    target = f"{len(result.targets)} targets" if several else f"target {result.target}"
    return Line((found, style), f" in {size}{files}{trouble}{_hidden(result)}; {target}; policy {result.policy}")


def _hidden(result: CheckResult) -> str:
    """What was found and is not reported: nobody should take a gate's silence for a clean program."""
    ignored, fixme, known = (
        result.count_suppressed(kind)
        for kind in (SuppressionKind.IGNORE, SuppressionKind.FIXME, SuppressionKind.BASELINE)
    )
    parts = []
    if ignored or fixme:
        parts.append(f"{ignored + fixme} suppressed" + (f" ({fixme} to fix)" if fixme else ""))
    if known:
        parts.append(f"{known} in the baseline")
    return f"; {', '.join(parts)}" if parts else ""
