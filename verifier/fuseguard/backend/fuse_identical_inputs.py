"""Past which ops the views of their operands move, to stand after the op.

Source: ``FuseIdenticalInputTransformsPass`` of ExecuTorch 1.4.1 and 1.5.1. It runs right after the DQs are folded and
before there are RESCALEs. The views of all operands have to state the same shape, and nothing else may read them or a
duplicate of them, with which ``FuseDuplicateUsersPass`` has merged them. An operand without a view has to be a single
number of as many dimensions as that shape. A view that has moved past one op may move past the next one.

Rules that depend on it: those of decompose_round and insert_const_shapes.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Set

from fuseguard.backend.elementwise import readers_of
from fuseguard.backend.merged_duplicates import numbers_of
from fuseguard.backend.per_view import once_per_view
from fuseguard.backend.releases import SINKS_VIEWS
from fuseguard.ir import Node, View
from fuseguard.target import Target

#: FuseIdenticalInputTransformsPass._ELEMENTWISE_OPS, by kind.
_PASSED = ("add", "sub", "mul", "div", "eq", "ge", "gt", "le", "lt", "ne", "remainder", "where")


@once_per_view
def passed_by_views(view: View, target: Target) -> frozenset[str]:
    """The names of the ops past which the views of their operands move."""
    found: set[str] = set()
    if SINKS_VIEWS.in_force(target):
        for node in view.of_kind(*_PASSED):
            if _is_passed(view, node, found):
                found.add(node.name)
    return frozenset(found)


def _is_passed(view: View, node: Node, passed: Set[str]) -> bool:
    moving: list[Node] = []
    others: list[Node] = []
    makers: set[str] = set()
    for operand in view.graph.inputs(node):
        maker = view.maker(operand)
        ends_in_view = maker is not None and (maker.kind == "view" or maker.name in passed)
        moves = maker is not None and ends_in_view and _reads_alone(view, node, maker)
        (moving if moves else others).append(operand)
        makers.add(operand.name if maker is None else maker.name)
    shapes = {item.meta.shape for item in moving if item.meta is not None}
    if len(shapes) != 1 or len(makers) < 2:
        return False
    rank = len(next(iter(shapes)))
    metas = [item.meta for item in others]
    return all(meta is not None and meta.rank == rank and set(meta.shape) <= {1} for meta in metas)


def _reads_alone(view: View, node: Node, maker: Node) -> bool:
    """Whether only ``node`` and its duplicates read what ``maker`` and its duplicates yield."""
    alike = numbers_of(view).alike
    key = alike.get(maker.name)
    twins = [maker] if key is None else _twins(view)[key]
    own = alike.get(node.name)
    readers = [reader for twin in twins for reader in readers_of(view, twin)]
    return all(reader is node or (own is not None and alike.get(reader.name) == own) for reader in readers)


@once_per_view
def _twins(view: View) -> Mapping[Hashable, list[Node]]:
    """The ops that are merged with one another."""
    found: dict[Hashable, list[Node]] = {}
    for name, key in numbers_of(view).alike.items():
        found.setdefault(key, []).append(view.graph[name])
    return found
