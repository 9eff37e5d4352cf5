"""The line of a finding: the model's own, of its nodes or else of the nearest op that has one.

Passes of the quantizer (DecomposeSoftmaxPass, DecomposeLayerNormPass, ...) make ops for which no line of the model was
recorded. What feeds such an op has one as a rule.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from fuseguard.ir.graph import Node
from fuseguard.ir.view import View

_FAR = 64  # nodes that are looked at in each direction


def placed_by(view: View, nodes: Sequence[Node]) -> Node:
    """The node whose source line says where ``nodes`` are: the first of them with one, else a neighbour of the first.

    Neighbours are what it is computed from, then what is computed from it; those of the same module first. The first
    node itself if none of all these has a line.
    """
    own = next((node for node in nodes if node.source is not None), None)
    if own is not None:
        return own
    lead = nodes[0]
    if not view.graph.has_sources:
        return lead
    near = [*_beyond(lead, view.graph.inputs), *_beyond(lead, view.users)]
    same = [node for node in near if node.module == lead.module]
    return next(iter(same or near), lead)


def _beyond(start: Node, step: Callable[[Node], Iterable[Node]]) -> list[Node]:
    """The nodes with a source line that are reached from ``start``, the nearest first; nothing is beyond them."""
    found: list[Node] = []
    seen = {start.name}
    pending = deque([start])
    while pending:
        for node in step(pending.popleft()):
            if len(seen) > _FAR:  # one op may have thousands of operands
                return found
            if node.name in seen:
                continue
            seen.add(node.name)
            if node.source is not None:
                found.append(node)
            else:
                pending.append(node)
    return found
