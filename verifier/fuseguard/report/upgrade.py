"""An upgrade check as text and as JSON-ready data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fuseguard.engine.finding import Evidence, Outcome
from fuseguard.engine.shown import counted, place_of
from fuseguard.gate.result import FileError
from fuseguard.gate.upgrade import Change, Place, Step, Upgrade
from fuseguard.report.effects import evidence_text
from fuseguard.report.json import envelope, finding_dict, outcome_dict, target_dict
from fuseguard.report.lines import Line, Style
from fuseguard.report.quoting import quoted
from fuseguard.target import Target

_TITLES: dict[Change, tuple[str, Style]] = {
    Change.BREAKS: ("breaks", "error"),
    Change.STAYS: ("stays broken", "warning"),
    Change.SHIFTS: ("changes, but is not an error before or after", "note"),
    Change.FIXED: ("fixed", "good"),
}


@dataclass(frozen=True, slots=True)
class FileUpgrade:
    """One file: what becomes of it, or the error that stands in its place."""

    file: str
    upgrade: Upgrade | None = None
    error: FileError | None = None


@dataclass(frozen=True, slots=True)
class UpgradeResult:
    """All files of one run. ``targets`` are pairs: each target before, then after."""

    files: tuple[FileUpgrade, ...]
    targets: tuple[Target, ...]
    policy: str
    exit_code: int = 0

    def count(self, change: Change) -> int:
        return sum(len(file.upgrade.of(change)) for file in self.files if file.upgrade)

    @property
    def announced(self) -> int:
        """How many places an upstream change concerns whose effect nobody has measured."""
        places = (place for file in self.files if file.upgrade for place in file.upgrade.places)
        return sum(any(step.after.evidence is Evidence.ANNOUNCED for step in place.steps) for place in places)

    def hidden(self, change: Change | None = None) -> int:
        """How many suppressed places there are, or how many that change in one way."""
        places = (place for file in self.files if file.upgrade for place in file.upgrade.hidden)
        return sum(change is None or place.change is change for place in places)


def render(result: UpgradeResult, *, quiet: bool = False) -> Iterator[Line]:
    """The report line by line. ``quiet`` leaves out notices and the summary."""
    for file in result.files:
        if file.upgrade is not None:
            yield from _file(file.file, file.upgrade, result.targets, quiet)
    if not quiet:
        yield _summary(result)


def _file(name: str, upgrade: Upgrade, targets: Sequence[Target], quiet: bool) -> Iterator[Line]:
    report = upgrade.report
    told = any(place.change in _TITLES for place in upgrade.places)
    if told or report.failures or (report.notices and not quiet):
        yield Line((quoted(name), "strong"), f": ExecuTorch {targets[0].release} -> {targets[1].release}")
        yield Line()
    for change, (title, style) in _TITLES.items():
        places = upgrade.of(change)
        if places:
            yield Line((title, style))
        for place in places:
            yield from _place(place, style)
        if places:
            yield Line()
    for notice in () if quiet else report.notices:
        yield Line(("notice", "note"), f": {quoted(notice)}", hang=2)
        yield Line()
    for failure in report.failures:
        text = f"rule {quoted(failure.code)} failed: {quoted(failure.error)}. What it would have found is missing."
        yield Line(("error", "error"), f": {text}", hang=2)
        yield Line()


def _place(place: Place, style: Style) -> Iterator[Line]:
    finding = place.finding
    where = place_of(finding.source) if finding.source else f"node {', '.join(finding.nodes)}"
    module = f" ({quoted(finding.module)})" if finding.module else ""
    yield Line((f"  {quoted(finding.code)} ", style), f"{quoted(finding.name)} at ", (quoted(where), "place"), module)
    yield Line(f"      {quoted(finding.message)}", hang=6)
    width = max(len(quoted(step.target)) for step in place.steps)
    for step in place.steps:
        if step.change is not Change.SAME:
            meaning = f": {step.after.effect.meaning}" if step.after.effect else ""
            becomes = f"{_effect(step.before)} -> {_effect(step.after)}"
            yield Line(f"      {quoted(step.target):{width}}  ", (becomes, _style(step)), meaning, hang=8 + width)
            if step.after.evidence in (Evidence.INFERRED, Evidence.ANNOUNCED):
                start = f"      {'':{width}}  evidence  "
                yield Line((start, "dim"), quoted(evidence_text(step.after)), hang=len(start))
    if place.change is not Change.FIXED:
        yield Line(("      remedy  ", "dim"), quoted(finding.remedy), hang=14)


def _effect(outcome: Outcome) -> str:
    return outcome.effect.value if outcome.effect else "nothing found"


def _style(step: Step) -> Style:
    return _TITLES[step.change][1] if step.change in _TITLES else ""


def _summary(result: UpgradeResult) -> Line:
    breaks = result.count(Change.BREAKS)
    others = [
        f"{result.count(change)} {what}"
        for change, what in (
            (Change.STAYS, "stay broken"),
            (Change.SHIFTS, "change without being an error"),
            (Change.FIXED, "fixed"),
            (Change.SAME, "unchanged"),
        )
        if result.count(change) or change in (Change.STAYS, Change.FIXED)
    ]
    if result.announced:
        others.append(f"{result.announced} announced to change")
    hidden = ""
    if result.hidden():
        broken = result.hidden(Change.BREAKS)
        hidden = f"; {result.hidden()} suppressed" + (f", of which {broken} would break" if broken else "")
    names = ", ".join(dict.fromkeys(target.name for target in result.targets))
    releases = f"ExecuTorch {result.targets[0].release} -> {result.targets[1].release}"
    return Line(
        (f"{counted(breaks, 'place')} {'breaks' if breaks == 1 else 'break'}", "error" if breaks else "good"),
        f", {', '.join(others)}{hidden}; {releases}; {names}; policy {result.policy}",
    )


def to_dict(result: UpgradeResult) -> dict[str, Any]:
    """The same as JSON-ready data."""
    return {
        **envelope(),
        "from": str(result.targets[0].release),
        "to": str(result.targets[1].release),
        "targets": [target_dict(target) for target in result.targets],
        "policy": result.policy,
        "files": [_file_dict(file) for file in result.files],
        "summary": {
            **{change.value: result.count(change) for change in Change},
            "announced": result.announced,
            "suppressed": result.hidden(),
            "suppressed_breaks": result.hidden(Change.BREAKS),
            "exit_code": result.exit_code,
        },
    }


def _file_dict(file: FileUpgrade) -> dict[str, Any]:
    upgrade = file.upgrade
    document: dict[str, Any] = {
        "file": file.file,
        "places": [_place_dict(place) for place in upgrade.places] if upgrade else [],
        "suppressed": [_place_dict(place) for place in upgrade.hidden] if upgrade else [],
        "failures": [
            {"code": failure.code, "graph": failure.graph, "error": failure.error}
            for failure in (upgrade.report.failures if upgrade else ())
        ],
        "notices": list(upgrade.report.notices) if upgrade else [],
    }
    if file.error is not None:
        document["error"] = {"kind": file.error.kind, "message": file.error.message}
    return document


def _place_dict(place: Place) -> dict[str, Any]:
    return {
        "change": place.change.value,
        "targets": [
            {
                "target": step.target,
                "change": step.change.value,
                "before": outcome_dict(step.before),
                "after": outcome_dict(step.after),
            }
            for step in place.steps
        ],
        "finding": finding_dict(place.finding),
    }
