"""Refusing one cluster may break another: what it exposes is refused together with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from fuseguard.engine.finding import Finding
from fuseguard.engine.isolation import time_limit
from fuseguard.engine.rule import Rule
from fuseguard.ir.view import View
from fuseguard.target import Target


def take_in_exposed(
    view: View, target: Target, rules: Sequence[Rule], findings: Sequence[Finding], seconds: float | None = None
) -> tuple[list[Finding], dict[str, BaseException]]:
    """``findings`` of one graph, the refused ones with what would break without them (``Rule.exposed``) in their
    clusters; and by code what rules raised that could not say. ``seconds`` limits each rule.
    """
    closed = list(findings)
    failed: dict[str, BaseException] = {}
    while refused := frozenset().union(*distinct_clusters(finding for finding in closed if finding.refuse)):
        exposed = []
        for rule in rules:
            try:
                with time_limit(seconds):
                    found = rule.exposed(view, target, refused)
                    exposed += [(node, by) for node, by in found if node.name not in refused]
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                failed[rule.code] = error
        if not exposed:
            break
        holders: dict[str, int] = {}  # the first finding that refuses a node, by its name
        seen: set[int] = set()
        for number, finding in enumerate(closed):
            if finding.refuse and id(finding.cluster) not in seen:
                seen.add(id(finding.cluster))
                for name in finding.cluster:
                    holders.setdefault(name, number)
        for node, by in exposed:
            number = holders[by.name]
            cluster = view.cluster(node).union(closed[number].cluster)
            for name in cluster:
                holders[name] = min(number, holders.get(name, number))
            ordered = tuple(sorted(cluster, key=lambda name: view.graph[name].index))
            closed[number] = replace(closed[number], cluster=ordered)
    return closed, failed


def distinct_clusters(findings: Iterable[Finding]) -> Iterator[tuple[str, ...]]:
    """Each cluster once that findings share: there may be thousands of findings in one of thousands of nodes."""
    return iter({id(finding.cluster): finding.cluster for finding in findings}.values())
