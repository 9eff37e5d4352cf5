"""Refusing one cluster may break another one. The engine refuses an exposed cluster together with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from fuseguard.engine.effort import TooMuchWork
from fuseguard.engine.finding import Finding
from fuseguard.engine.isolation import RuleTimeout, time_limit
from fuseguard.engine.rule import Rule
from fuseguard.ir.value import replace
from fuseguard.ir.view import View
from fuseguard.target import Target

# Rules look at all nodes of a graph in each round. What is exposed in an ordinary program is in two or three.
MAX_LOOKS = 500_000
ROUNDS = 10  # that any program gets, however large it is


def take_in_exposed(
    view: View, target: Target, rules: Sequence[Rule], findings: Sequence[Finding], seconds: float | None = None
) -> tuple[list[Finding], dict[str, BaseException]]:
    """``findings`` of one graph, the refused ones with what would break without them (``Rule.exposed``) in their
    clusters; and by code what rules raised that could not say. ``seconds`` limits each rule.

    A program in which every round exposes something more has a limit of rounds. Beyond it, the last rule that found
    something counts as failed, with TooMuchWork.
    """
    closed = list(findings)
    rules = [rule for rule in rules if rule.exposes]
    failed: dict[str, BaseException] = {}
    left = max(ROUNDS, MAX_LOOKS // max(len(view.graph), 1))
    last = ""
    while refused := frozenset().union(*distinct_clusters(finding for finding in closed if finding.refuse)):
        exposed = []
        for rule in rules:
            if isinstance(failed.get(rule.code), RuleTimeout):
                continue  # one limit is enough for a rule that hangs
            try:
                with time_limit(seconds):
                    found = rule.exposed(view, target, refused)
                    mine = [(node, by) for node, by in found if node.name not in refused]
                exposed += mine
                last = rule.code if mine else last
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                failed[rule.code] = error
        if not exposed:
            break
        left -= 1
        if left < 0:
            failed[last] = TooMuchWork("refusing one op exposes another one, too many times over")
            break
        holders: dict[str, int] = {}  # the first finding that refuses a node, by its name
        seen: set[int] = set()
        for number, finding in enumerate(closed):
            if finding.refuse and id(finding.cluster) not in seen:
                seen.add(id(finding.cluster))
                for name in finding.cluster:
                    holders.setdefault(name, number)
        more: dict[int, set[str]] = {}
        for node, by in exposed:
            number = holders[by.name]
            cluster = view.cluster(node)
            more.setdefault(number, set()).update(cluster)
            for name in cluster:
                holders[name] = min(number, holders.get(name, number))
        for number, names in more.items():
            closed[number] = replace(closed[number], cluster=view.in_order(names.union(closed[number].cluster)))
    return closed, failed


def distinct_clusters(findings: Iterable[Finding]) -> Iterator[tuple[str, ...]]:
    """Each cluster once that findings share: there may be thousands of findings in one of thousands of nodes."""
    return iter({id(finding.cluster): finding.cluster for finding in findings}.values())
