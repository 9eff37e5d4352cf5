"""JUnit XML, as CI servers show it: a suite per program, in it a test per rule that ran.

Tests have the same names in every run, so that a server can tell since when one fails.
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree

from fuseguard.engine.finding import Finding
from fuseguard.gate.result import CheckResult, FileResult
from fuseguard.report.lines import plain
from fuseguard.report.options import Options
from fuseguard.report.quoting import quoted
from fuseguard.report.text import finding_lines


def render(result: CheckResult, options: Options | None = None) -> str:
    """The report as XML. A finding below ``fail_on`` fails no test: its text is the test's output."""
    options = options or Options()
    root = ElementTree.Element("testsuites", {"name": "fuseguard"})
    for file in result.files:
        root.append(_suite(file, result, options))
    for key in ("tests", "failures", "errors"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in root)))
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _suite(file: FileResult, result: CheckResult, options: Options) -> ElementTree.Element:
    suite = ElementTree.Element("testsuite", {"name": quoted(file.file) or "program"})
    properties = ElementTree.SubElement(suite, "properties")
    targets = result.targets or (result.target,)
    for name, value in (*(("target", str(target)) for target in targets), ("policy", result.policy)):
        ElementTree.SubElement(properties, "property", {"name": name, "value": quoted(value)})
    if not file.upkeep:
        _case(suite, "the program can be read", file)
    if file.error is not None:
        _add(suite[-1], "error", file.error.message, file.error.kind)
    report = file.report
    if report is not None:
        failures = {failure.code: failure.error for failure in report.failures}
        by_rule: dict[str, list[Finding]] = {code: [] for code in dict.fromkeys((*report.rules, *failures))}
        for finding in report.findings:
            by_rule.setdefault(finding.code, []).append(finding)
        for code in sorted(by_rule):
            _case(suite, _name(code, by_rule[code], options), file)
            _fill(suite[-1], by_rule[code], failures.get(code), result)
        said = [*([] if options.quiet else report.notices), *map(_suppressed, report.suppressed)]
        if said:
            _add(suite, "system-out", "\n".join(said))  # schemas allow a suite one, and after its tests
    suite.set("tests", str(len(suite.findall("testcase"))))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", str(len(suite.findall("testcase/error"))))
    return suite


def _name(code: str, findings: list[Finding], options: Options) -> str:
    rule = options.rules.get(code)
    name = rule.name if rule is not None else next((finding.name for finding in findings), "")
    return f"{code} {name}".strip()


def _case(suite: ElementTree.Element, name: str, file: FileResult) -> None:
    ElementTree.SubElement(suite, "testcase", {"name": quoted(name), "classname": quoted(file.file) or "program"})


def _fill(case: ElementTree.Element, findings: list[Finding], failure: str | None, result: CheckResult) -> None:
    failing = [finding for finding in findings if finding.severity.rank >= result.fail_on.rank]
    if failure is not None:
        _add(case, "error", f"the rule failed: {failure}. What it would have found is missing.", "internal")
    elif failing:
        first = f"{failing[0].message}" if len(failing) == 1 else f"{len(failing)} findings: {failing[0].message} ..."
        element = _add(case, "failure", first, failing[0].effect.value)
        element.text = _texts(failing, result)
    rest = findings if failure is not None else [f for f in findings if f.severity.rank < result.fail_on.rank]
    if rest:
        ElementTree.SubElement(case, "system-out").text = _texts(rest, result)


def _suppressed(finding: Finding) -> str:
    kind = finding.suppression.kind.value if finding.suppression else "suppressed"
    reason = f", {finding.suppression.reason}" if finding.suppression and finding.suppression.reason else ""
    return f"not reported ({kind}{reason}): {finding.code} {finding.message}"


def _texts(findings: Iterable[Finding], result: CheckResult) -> str:
    return "\n".join(plain(finding_lines(finding, result.target)) for finding in findings)


def _add(parent: ElementTree.Element, tag: str, text: str, kind: str = "") -> ElementTree.Element:
    """XML has no escape for control characters at all, so that ``clean`` comes first."""
    element = ElementTree.SubElement(parent, tag)
    told = "\n".join(quoted(line) for line in text.split("\n"))
    if kind:
        element.set("message", told)
        element.set("type", kind)
    element.text = told
    return element
