"""Distinguishes consequences from causes: a finding that only follows from another one says so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fuseguard.engine.finding import Finding
from fuseguard.engine.rule import Rule
from fuseguard.ir.value import replace


def mark_consequences(findings: Iterable[Finding], rules: Iterable[Rule]) -> list[Finding]:
    """The findings, those that a rule's ``follows_from`` explains with ``caused_by`` set, in the order given.

    A finding explains another one if both are about one graph and have a node in common. A consequence of a
    consequence names its own direct cause.
    """
    explained_by: dict[str, Sequence[str]] = {rule.code: rule.follows_from for rule in rules if rule.follows_from}
    everything = list(findings)
    if not explained_by:
        return everything
    places: dict[tuple[str, str], set[str]] = {}
    for finding in everything:
        for node in finding.nodes:
            places.setdefault((finding.graph, node), set()).add(finding.code)
    return [_marked(finding, explained_by.get(finding.code, ()), places) for finding in everything]


def _marked(finding: Finding, causes: Sequence[str], places: dict[tuple[str, str], set[str]]) -> Finding:
    for cause in causes:
        if any(cause in places[finding.graph, node] for node in finding.nodes):
            return replace(finding, caused_by=cause)
    return finding
