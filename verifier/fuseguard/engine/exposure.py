"""Refusing one cluster may break another: what it exposes is refused together with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fuseguard.engine.finding import Finding
from fuseguard.engine.rule import Rule
from fuseguard.ir.view import View
from fuseguard.target import Target


def take_in_exposed(
    view: View, target: Target, rules: Sequence[Rule], findings: Sequence[Finding]
) -> tuple[list[Finding], dict[str, Exception]]:
    """``findings`` of one graph, the refused ones with what would break without them (``Rule.exposed``) in their
    clusters; and by code what rules raised that could not say.
    """
    closed = list(findings)
    failed: dict[str, Exception] = {}
    while refused := frozenset(name for finding in closed if finding.refuse for name in finding.cluster):
        exposed = []
        for rule in rules:
            try:
                exposed += [(node, by) for node, by in rule.exposed(view, target, refused) if node.name not in refused]
            except Exception as error:
                failed[rule.code] = error
        if not exposed:
            break
        holders: dict[str, int] = {}  # the first finding that refuses a node, by its name
        for number, finding in enumerate(closed):
            for name in finding.cluster if finding.refuse else ():
                holders.setdefault(name, number)
        for node, by in exposed:
            number = holders[by.name]
            cluster = view.cluster(node).union(closed[number].cluster)
            for name in cluster:
                holders[name] = min(number, holders.get(name, number))
            ordered = tuple(sorted(cluster, key=lambda name: view.graph[name].index))
            closed[number] = replace(closed[number], cluster=ordered)
    return closed, failed
