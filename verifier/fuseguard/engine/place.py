"""The line of a finding: the model's own, of its nodes or else of the nearest op that has one.

Passes of the quantizer (DecomposeSoftmaxPass, DecomposeLayerNormPass, ...) make ops for which no line of the model was
recorded. What feeds such an op has one as a rule.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from fuseguard.ir.graph import Node
from fuseguard.ir.view import View
from fuseguard.ir.walks import is_quantizer

_FAR = 64  # nodes that are looked at in each direction


def placed_by(view: View, nodes: Sequence[Node]) -> Node:
    """The node whose source line says where ``nodes`` are: the first of them with one, else a neighbour of the first.

    Neighbours are what it is computed from, then what is computed from it. First come those that the same pass made: a
    pass that decomposes a layer norm makes ops without a line from one that has a line. Then come those of the same
    module. The first node itself if none of all these has a line.
    """
    own = next((node for node in nodes if node.source is not None), None)
    if own is not None:
        return own
    lead = nodes[0]
    if not view.graph.has_sources:
        return lead
    before, after = _beyond(lead, view.graph.inputs), _beyond(lead, view.users)
    # What a pass computes last has the line: two of the same kind in a row are told apart by that.
    together = [node for node in (*after, *before) if made_together(lead, node)]
    same = [node for node in (*before, *after) if node.module == lead.module]
    # A dequantize op has the line of its reader, and often no module.
    return min(together or same or [*before, *after], key=is_quantizer, default=lead)


def made_together(node: Node, other: Node) -> bool:
    """Whether the pass that made ``node``, of which no line of the model is known, made ``other`` too."""
    if node.source is not None or not node.stack:
        return False
    maker = node.stack[0].file
    return any(line.file == maker for line in other.stack)


def _beyond(start: Node, step: Callable[[Node], Iterable[Node]]) -> list[Node]:
    """The nodes with a source line that are reached from ``start``, the nearest first; nothing is beyond their ops."""
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
            if node.source is None or is_quantizer(node):
                pending.append(node)
    return found
