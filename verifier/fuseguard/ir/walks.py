"""Walks over a graph that remember where they were."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from fuseguard.ir.graph import Node


def reached(start: Node, step: Callable[[Node], Sequence[Node]], known: Container[str]) -> list[Node]:
    """``start`` and what ``step`` leads to from it, in topological order, without what is ``known`` and lies beyond it.

    A caller that adds what it got to ``known`` visits each node once in all its walks.
    """
    found: dict[str, Node] = {}
    pending = [start]
    while pending:
        node = pending.pop()
        if node.name not in found and node.name not in known:
            found[node.name] = node
            pending += step(node)
    return sorted(found.values(), key=lambda node: node.index)
