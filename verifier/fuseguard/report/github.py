"""Workflow commands of GitHub Actions: printed in a job, they become annotations of the changed lines."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.engine.finding import Finding, Severity
from fuseguard.gate.result import CheckResult
from fuseguard.report.effects import effects_text
from fuseguard.report.locations import Location, Locator, origin
from fuseguard.report.options import Options
from fuseguard.report.quoting import name, quoted

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}
_SHOWN = 10  # annotations of each kind that GitHub makes of one step's output; the log has them all


def render(result: CheckResult, options: Options | None = None) -> str:
    """A command per finding and error, worst first, each on a line of its own; "" if there is none."""
    options = options or Options()
    locator = options.locator()
    commands = [*_errors(result, locator), *_findings(result, locator)]
    lines = [text for _, text in commands]
    for kind in _COMMANDS.values():
        number = sum(command == kind for command, _ in commands)
        if number > _SHOWN:
            # No command: it would take the place of one.
            lines.append(f"GitHub annotates {_SHOWN} of these {number} {kind}s; the lines above are all of them.")
    return "".join(f"{line}\n" for line in lines)


def _errors(result: CheckResult, locator: Locator) -> Iterator[tuple[str, str]]:
    for file in result.files:
        place = Location(locator.artifact(file.file))
        if file.error is not None:
            yield "error", _command("error", place, "fuseguard", file.trouble)
        for failure in file.report.failures if file.report else ():
            text = f"rule {failure.code} failed: {failure.error}. What it would have found is missing."
            yield "error", _command("error", place, "fuseguard", text)


def _findings(result: CheckResult, locator: Locator) -> Iterator[tuple[str, str]]:
    for finding in sorted(result.findings, key=lambda finding: -finding.severity.rank):
        kind = _COMMANDS[finding.severity]
        yield kind, _command(kind, locator.locate(finding), f"{finding.code} {finding.name}", _text(finding))


def _text(finding: Finding) -> str:
    node = f", node {name(finding.nodes[0])}" if finding.nodes else ""
    inside = f", {where}" if (where := origin(finding)) else ""
    place = f" ({finding.file or 'program'}{node}{inside})"
    effects = effects_text(finding)
    return "\n".join(part for part in (f"{finding.message}{place}", effects, finding.remedy) if part)


def _command(kind: str, place: Location, title: str, text: str) -> str:
    properties = [("file", place.path)]
    if place.line:
        properties += [
            ("line", str(place.line)),
            ("endLine", str(place.line)),
            ("col", str(place.column)),
            ("endColumn", str(place.end_column)),
        ]
    properties.append(("title", title))
    told = ",".join(f"{key}={_property(value)}" for key, value in properties)
    return f"::{kind} {told}::{_data(text)}"


def _data(text: str) -> str:
    """As actions/toolkit escapes a message. A name from a file must not end the line and begin a command."""
    return "%0A".join(quoted(line).replace("%", "%25") for line in text.split("\n"))


def _property(text: str) -> str:
    return quoted(text).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
