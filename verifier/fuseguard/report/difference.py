"""The difference between two programs as text and as JSON-ready data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fuseguard.engine.finding import Severity
from fuseguard.engine.shown import place_of
from fuseguard.gate.difference import Change, Pair
from fuseguard.gate.result import FileResult
from fuseguard.report.effects import effects_short
from fuseguard.report.json import envelope, failure_dict, finding_dict, target_dict
from fuseguard.report.lines import Line, Style
from fuseguard.report.quoting import listed, quoted
from fuseguard.target import Target

_TITLES: dict[Change, tuple[str, Style]] = {
    Change.NEW: ("new", "error"),
    Change.WORSE: ("worse than before", "error"),
    Change.MILDER: ("milder than before", "good"),
    Change.GONE: ("gone", "good"),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """Two programs, and their findings in pairs if both could be checked."""

    before: FileResult
    after: FileResult
    pairs: tuple[Pair, ...]
    targets: tuple[Target, ...]
    policy: str
    exit_code: int = 0

    def of(self, change: Change) -> tuple[Pair, ...]:
        return tuple(pair for pair in self.pairs if pair.change is change)

    def counts_as(self, severity: Severity) -> bool:
        """Whether something of this severity or worse is new or became that."""
        worse = (*self.of(Change.NEW), *self.of(Change.WORSE))
        return any(pair.finding.severity.rank >= severity.rank for pair in worse)

    @property
    def files(self) -> tuple[FileResult, FileResult]:
        return self.before, self.after


def render(difference: Difference, *, quiet: bool = False) -> Iterator[Line]:
    """The report line by line. ``quiet`` leaves out notices and the summary."""
    if any(difference.of(change) for change in _TITLES):
        yield Line((f"{quoted(difference.before.file)} -> {quoted(difference.after.file)}", "strong"))
        yield Line()
    for change, (title, style) in _TITLES.items():
        pairs = difference.of(change)
        if pairs:
            yield Line((title, style))
            for pair in pairs:
                yield from _pair(pair, style)
            yield Line()
    for file in difference.files:
        name = quoted(file.file)
        for notice in file.report.notices if file.report and not quiet else ():
            yield Line(("notice", "note"), f": {name}: {quoted(notice)}", hang=2)
        for failure in file.report.failures if file.report else ():
            text = f"rule {quoted(failure.code)} failed: {quoted(failure.error)}. What it would have found is missing."
            yield Line(("error", "error"), f": {name}: {text}", hang=2)
    if not quiet:
        yield _summary(difference)


def _pair(pair: Pair, style: Style) -> Iterator[Line]:
    finding = pair.finding
    where = place_of(finding.source) if finding.source else f"node {listed(finding.nodes)}"
    module = f" ({quoted(finding.module)})" if finding.module else ""
    yield Line((f"  {quoted(finding.code)} ", style), f"{quoted(finding.name)} at ", (quoted(where), "place"), module)
    yield Line(f"      {quoted(finding.message)}", hang=6)
    became = f"{effects_short(pair.before)} -> " if pair.before is not None and pair.after is not None else ""
    yield Line(f"      {became}{effects_short(finding)}", hang=6)
    if pair.after is not None:
        yield Line(("      remedy  ", "dim"), quoted(finding.remedy), hang=14)


def _summary(difference: Difference) -> Line:
    counts = {change: len(difference.of(change)) for change in Change}
    style: Style = "error" if counts[Change.NEW] or counts[Change.WORSE] else "good"
    rest = ", ".join(f"{number} {change.value}" for change, number in counts.items() if change is not Change.NEW)
    several = len(difference.targets) > 1
    target = f"{len(difference.targets)} targets" if several else f"target {difference.targets[0]}"
    return Line((f"{counts[Change.NEW]} new", style), f", {rest}; {target}; policy {difference.policy}")


def to_dict(difference: Difference) -> dict[str, Any]:
    """The same as JSON-ready data."""
    return {
        **envelope(),
        "targets": [target_dict(target) for target in difference.targets],
        "policy": difference.policy,
        "before": _file_dict(difference.before),
        "after": _file_dict(difference.after),
        "findings": [
            {
                "change": pair.change.value,
                "before": None if pair.before is None else finding_dict(pair.before),
                "after": None if pair.after is None else finding_dict(pair.after),
            }
            for pair in difference.pairs
        ],
        "summary": {
            **{change.value: len(difference.of(change)) for change in Change},
            "exit_code": difference.exit_code,
        },
    }


def _file_dict(file: FileResult) -> dict[str, Any]:
    report = file.report
    document: dict[str, Any] = {
        "file": file.file,
        "failures": [failure_dict(failure) for failure in (report.failures if report else ())],
        "notices": list(report.notices) if report else [],
    }
    if file.error is not None:
        document["error"] = {"kind": file.error.kind, "message": file.error.message}
    return document
