"""What leaves the partitions that an INT-only backend proposes: dequantize ops, and what reads them as floats.

The partitioner removes from each partition the quantize ops whose input is outside of it, the dequantize ops with a
user outside of it, and then every op inside with a float input that is not inside. It goes through the program once.
So it has passed the other dequantize ops of an op when it removes the op: they stay. If the rest of the partition
depends on itself, later releases split it into its connected components, which may still depend on one another, and
earlier ones crash.

Source: ``TOSAPartitioner._detag_boundary_nodes``, ``_tag_module`` and ``_validate_partition`` of ExecuTorch 1.2.0,
1.3.1, 1.4.1 and 1.5.1.

Rules that depend on it: BO602, BO604, BO605.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Set

from fuseguard.backend.delegates import delegate_numbers
from fuseguard.backend.partition import computes_nothing, stays_on_cpu
from fuseguard.backend.per_view import once_per_view
from fuseguard.backend.releases import DROPS_EMPTY_PARTITIONS
from fuseguard.ir import Node, Trait, View
from fuseguard.ir.value import Value
from fuseguard.target import Target


class Detagged(Value, frozen=True):
    """What is taken out of the partitions of a program, by name."""

    #: Each op that is taken out, with a float that it reads from outside.
    ops: Mapping[str, Node]
    #: Dequantize ops in front of these ops that stay and are lowered without them.
    behind: frozenset[str]
    #: The ops of these whose partition begins before them and goes on after them, with an op that it goes on with.
    between: Mapping[str, Node]
    #: Those of them between parts that still depend on each other, or on themselves, when the partition is split.
    knotted: frozenset[str]
    #: The number of the partition that each node was proposed for.
    partitions: Mapping[str, int]

    def outside_reader(self, view: View, dq: Node, op: Node) -> Node | None:
        """What reads ``dq`` outside of the partition of ``op``."""
        own = self.partitions.get(op.name)
        return next((user for user in view.users(dq) if self.partitions.get(user.name) != own), None)


@once_per_view
def detagged(view: View, target: Target, refused: frozenset[str] = frozenset()) -> Detagged | None:
    """What leaves the partitions of a program, if the nodes with the names in ``refused`` are kept on the CPU, too.

    None if no dequantize op has several readers: nothing is taken out because of one.
    """
    if not has_shared_dequantize(view):
        return None
    return _Partitions(view, target, refused).found()


@once_per_view
def has_shared_dequantize(view: View) -> bool:
    """Whether any dequantize op has several readers."""
    return max([len(view.users(dq)) for dq in view.calls(Trait.DEQUANTIZE)], default=0) > 1


class _Partitions:
    def __init__(self, view: View, target: Target, refused: frozenset[str]) -> None:
        self._view, self._target, self._refused = view, target, refused
        numbers = delegate_numbers(view, self._outside)
        #: The number of the partition of each node that is in one at first.
        self._proposed = {node.name: numbers[node.name] for node in view.calls() if not self._outside(node)}
        self._kept: dict[str, None] = {}
        self._ops: dict[str, Node] = {}
        for node in view.calls():
            if node.name in self._proposed:
                self._keep_or_take_out(node)

    def _outside(self, node: Node) -> bool:
        return node.name in self._refused or stays_on_cpu(self._view, node, self._target)

    def _together(self, one: Node, other: Node) -> bool:
        """Whether both are proposed for one partition."""
        number = self._proposed.get(one.name)
        return number is not None and number == self._proposed.get(other.name)

    def _keep_or_take_out(self, node: Node) -> None:
        inputs = self._view.graph.inputs(node)
        strangers = [item for item in inputs if item.name not in self._kept or not self._together(item, node)]
        if self._view.is_q(node):
            stays = not strangers
        elif self._view.is_dq(node):
            stays = all(self._together(user, node) for user in self._view.users(node))
        else:
            floats = [item for item in strangers if item.meta is not None and item.meta.is_float]
            stays = not floats
            if floats:
                self._ops[node.name] = floats[0]
        if stays:
            self._kept[node.name] = None

    def found(self) -> Detagged:
        view, between = self._view, self._between()
        parts = self._split({self._proposed[name] for name in between})
        lowered = self._lowered(parts if DROPS_EMPTY_PARTITIONS.in_force(self._target) else self._proposed)
        behind = {
            item.name
            for name in self._ops
            for item in view.graph.inputs(view.graph[name])
            if view.is_dq(item) and item.name in lowered and self._together(item, view.graph[name])
        }
        after = {name: node for name, node in between.items() if name in self._ops}
        knotted = self._knotted(parts, between) if after else frozenset()
        return Detagged(self._ops, frozenset(behind), after, knotted, self._proposed)

    def _between(self) -> Mapping[str, Node]:
        """The nodes that are taken out and lie on a path from their partition and back to it, with an op there.

        The number of a partition only falls along a path, so that such a path has nodes of the partition alone.
        """
        view, fed, leads = self._view, set[str](), dict[str, Node]()
        for node in view.calls():
            if node.name in self._proposed and node.name not in self._kept:
                inputs = [item for item in view.graph.inputs(node) if self._together(item, node)]
                if any(item.name in self._kept or item.name in fed for item in inputs):
                    fed.add(node.name)
        for node in reversed(view.calls()):
            for user in view.users(node) if node.name in fed else ():
                if self._together(user, node):
                    if user.name in leads:
                        leads[node.name] = leads[user.name]
                    elif user.name in self._kept:
                        leads[node.name] = view.users(user)[0] if view.is_dq(user) else user
        return leads

    def _split(self, numbers: Set[int]) -> Mapping[str, int]:
        """The part of its partition that each node is in: partitions with these ``numbers`` depend on themselves."""
        parts = dict(self._proposed)
        for number, name in enumerate(self._kept, 1):
            if parts[name] in numbers:
                self._renumber(self._view.graph[name], -number, parts)
        return parts

    def _lowered(self, parts: Mapping[str, int]) -> frozenset[str]:
        """What is kept in a part that is lowered: one that has more than quantizers and what changes nothing."""
        counted = self._kept if DROPS_EMPTY_PARTITIONS.in_force(self._target) else self._proposed
        computing = {parts[name] for name in counted if self._computes(self._view.graph[name])}
        return frozenset(name for name in self._kept if parts[name] in computing)

    def _knotted(self, parts: Mapping[str, int], between: Mapping[str, Node]) -> frozenset[str]:
        """The ops of ``between`` that lie on a way from a part to itself, or to one that it depends on.

        What depends on nothing is left out, then what depends on that alone, and so on, and the same from the end.
        """
        names = [name for name in parts if name in between or name in self._kept]
        places: dict[str, Hashable] = {name: name if name in between else parts[name] for name in names}
        before: dict[Hashable, set[Hashable]] = {place: set() for place in places.values()}
        after: dict[Hashable, set[Hashable]] = {place: set() for place in places.values()}
        for name, place in places.items():
            for item in self._view.graph.inputs(self._view.graph[name]):
                source = places.get(item.name)
                if source is not None and (source != place or name in between):
                    before[place].add(source)
                    after[source].add(place)
        for back, forth in ((before, after), (after, before)):
            pending = [place for place, others in back.items() if not others]
            while pending:
                place = pending.pop()
                for other in forth.pop(place, ()):
                    back[other].discard(place)
                    if not back[other]:
                        pending.append(other)
                back.pop(place, None)
        return frozenset(name for name in self._ops if name in between and name in before)

    def _renumber(self, start: Node, number: int, parts: dict[str, int]) -> None:
        """Gives a number of its own to what is kept and connected with ``start``."""
        pending = [start]
        while pending:
            node = pending.pop()
            if parts[node.name] == number:
                continue
            parts[node.name] = number
            near = (*self._view.graph.inputs(node), *self._view.users(node))
            pending += [item for item in near if item.name in self._kept and self._together(item, node)]

    def _computes(self, node: Node) -> bool:
        view = self._view
        return not view.is_q(node) and not view.is_dq(node) and not computes_nothing(view, node, self._target)
