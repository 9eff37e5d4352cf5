"""Checks for several targets: one report that lists every place once, with its effect on each target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from fuseguard.engine.finding import Finding, Outcome
from fuseguard.engine.run import Report, in_order
from fuseguard.ir.graph import Graph
from fuseguard.target import ALL_TARGETS, MEASURED_RELEASES, Target

T = TypeVar("T")

ALL = "all"
DEFAULT_TARGET = "TOSA-1.0+INT+FP"


def matrix(targets: Iterable[str | Target] = (), releases: Iterable[str] = ()) -> tuple[Target, ...]:
    """Every target for every release, without repeats. ``all`` stands for all that are known; no release for the
    installed one, else the newest measured. A :class:`Target` brings its own release, unless some are given.
    Raises TargetError.
    """
    specs: list[str | Target] = []
    for target in targets:
        specs.extend(ALL_TARGETS if isinstance(target, str) and target.lower() == ALL else (target,))
    versions: list[str | None] = []
    for release in releases:
        versions.extend(MEASURED_RELEASES if release.lower() == ALL else (release,))
    pairs = [(spec, version) for spec in specs or [DEFAULT_TARGET] for version in versions or [None]]
    return _unique(_target(spec, version) for spec, version in pairs)


def _target(spec: str | Target, release: str | None) -> Target:
    if isinstance(spec, str):
        return Target.parse(spec, release)
    return spec if release is None else spec.with_release(release)


def merge(reports: Sequence[Report], graph: Graph) -> Report:
    """The reports of one program for one target each, as one. Findings are the same if their fingerprints are."""
    first = reports[0]
    places: dict[str, dict[int, Finding]] = {}
    for column, report in enumerate(reports):
        for finding in report.findings:
            places.setdefault(finding.fingerprint, {})[column] = finding
    names = [str(report.target) for report in reports]
    merged = [_merged(found, names) for found in places.values()]
    return replace(
        first,
        findings=tuple(in_order(merged, graph)),
        targets=tuple(report.target for report in reports),
        failures=_unique(failure for report in reports for failure in report.failures),
        notices=_unique(notice for report in reports for notice in report.notices),
        rules=tuple(sorted(_unique(code for report in reports for code in report.rules))),
        seconds=summed(report.seconds for report in reports),
    )


def summed(seconds: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The times that rules took, added up by code."""
    total: dict[str, float] = {}
    for part in seconds:
        for code, spent in part.items():
            total[code] = total.get(code, 0.0) + spent
    return total


def _merged(found: dict[int, Finding], targets: Sequence[str]) -> Finding:
    worst = max(found.values(), key=lambda finding: finding.severity.rank)  # the first among equals
    return replace(
        worst,
        refuse=any(finding.refuse for finding in found.values()),
        outcomes=tuple(_outcome(name, found.get(column)) for column, name in enumerate(targets)),
    )


def _outcome(target: str, finding: Finding | None) -> Outcome:
    if finding is None:
        return Outcome(target)
    return Outcome(
        target,
        effect=finding.effect,
        severity=finding.severity,
        evidence=finding.evidence,
        evidence_note=finding.evidence_note,
        evidence_release=finding.evidence_release,
        refuse=finding.refuse,
        bound_steps=finding.bound_steps,
        bound_value=finding.bound_value,
    )


def _unique(items: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(items))
