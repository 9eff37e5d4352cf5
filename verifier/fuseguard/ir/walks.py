"""Walks over a graph that remember where they were."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence

from fuseguard.ir.graph import Node
from fuseguard.ir.ops import QUANTIZERS


def is_quantizer(node: Node) -> bool:
    """Whether the node is a Q or a DQ."""
    return node.kind in QUANTIZERS


def beyond_quantizers(
    node: Node,
    step: Callable[[Node], Sequence[Node]],
    passed: Callable[[Node], bool] = is_quantizer,
    most: int | None = None,
) -> Iterator[Node]:
    """What ``step`` leads to from ``node``; instead of a Q or DQ, what is beyond it. Once for each way to it.

    ``passed`` says what else is looked through. The walk ends after ``most`` nodes: a file that is made to keep us busy
    may have any number of Qs and DQs in a row.
    """
    pending = [*step(node)]
    seen: set[str] = set()
    visited = 0
    while pending and (most is None or visited < most):
        item = pending.pop()
        visited += 1
        if not passed(item):
            yield item
        elif item.name not in seen:
            seen.add(item.name)
            pending += step(item)


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
