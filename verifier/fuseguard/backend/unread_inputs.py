"""Which inputs of a delegate are lost, because only ops read them that the backend replaces by what reads nothing.

Source: ``ConvertFullLikeToFullPass`` and ``ComputeConstantOpsAOTPass``, which make a constant of a ``full_like``, and
``RemoveNoopPass``, which makes of a ``copy`` what it copies, of ExecuTorch 1.2.0, 1.3.1, 1.4.1 and 1.5.1. What the
partitioner takes of them: ``CheckInt64InputsAndOutputs``. Which inputs something reads all the same:
ToTosaMemoryFormatPass of 1.2.0, which puts a TRANSPOSE after each input of rank 4 or more.

Rules that depend on it: OP713.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from fuseguard.backend.delegates import delegate_numbers
from fuseguard.backend.int64_results import stays_for_int64
from fuseguard.backend.partition import stays_on_cpu, stays_on_cpu_with_float, stays_outside
from fuseguard.backend.per_view import once_per_view
from fuseguard.backend.proper_quantization import refusal
from fuseguard.backend.releases import DROPS_UNREAD_INPUTS
from fuseguard.ir import Node, View
from fuseguard.target import Target

#: What the partitioner leaves on the CPU whatever the op is.
_NOT_TAKEN = ("bool", "int64", "float64")
_TRANSPOSED_RANK = 4  # of the inputs that 1.2 gives a TRANSPOSE
_NONE: frozenset[str] = frozenset()
#: Whether an op stays on the CPU.
_Stays: TypeAlias = Callable[[View, Node, Target], bool]


def shape_operand(view: View, node: Node) -> Node | None:
    """The operand of which ``node`` takes the shape and dtype alone; None if it has none."""
    if node.kind not in ("full", "copy") or not node.args:
        return None
    return view.graph.node_of(node.args[0])


def lost_inputs(view: View, target: Target, refused: frozenset[str] = _NONE) -> Iterator[tuple[Node, Node]]:
    """Each op that takes the shape of something alone, with the input of its delegate that is lost by that.

    An input of a delegate is an input of the program, or what an op on the CPU yields. ``refused`` are names of nodes
    that are kept on the CPU whatever they are.
    """
    shaped = [
        node for node in view.ops
        if shape_operand(view, node) is not None and _is_taken(node) and node.name not in refused
        and not stays_for_int64(view, target, node)
    ]  # fmt: skip
    if not shaped:
        return
    read = _read(view)
    outsides = {stays: _Outside(view, target, refused, stays) for stays in (stays_outside, stays_on_cpu_with_float)}
    numbers: dict[_Stays, Mapping[str, int]] = {}
    delegates: dict[tuple[_Stays, int, bool], _Delegate] = {}
    for node in shaped:
        # What INT leaves on the CPU is found where floats are lowered: it breaks there.
        left = stays_outside(view, node, target) or (not target.has_float and is_left_out_of_int(view, target, node))
        stays = stays_on_cpu_with_float if left else stays_outside
        if stays not in numbers:
            numbers[stays] = delegate_numbers(view, outsides[stays].has)
        key = stays, numbers[stays][node.name], target.has_float or left
        if key not in delegates:
            delegates[key] = _Delegate(view, key[1], outsides[stays], numbers[stays], read, floats=key[2])
        lost = delegates[key].lost(node)
        if lost is not None and not _is_transposed(lost, target):
            yield node, lost if not view.is_q(lost) else view.producer(lost) or lost


@once_per_view
def known_losses(view: View, target: Target) -> tuple[tuple[Node, Node], ...]:
    """Those of :func:`lost_inputs` that no refusal has exposed: each round of refusals asks about them again."""
    return tuple(lost_inputs(view, target))


def is_left_out_of_int(view: View, target: Target, node: Node) -> bool:
    """Whether an op stays on the CPU in INT: for itself, or because it shares a DQ with an op that does or an output.

    That DQ stays on the CPU. The partitioner takes an op that reads floats from outside out of its partition.
    """
    if refusal(view, node, target) is not None:
        return True
    operand = shape_operand(view, node)
    return operand is not None and view.is_dq(operand) and _is_read_outside(view, target, operand.name)


@once_per_view
def _is_read_outside(view: View, target: Target, name: str) -> bool:
    """Whether an output or an op on the CPU reads a node: many constants may share it."""
    return any(user.op == "output" or stays_on_cpu(view, user, target) for user in view.users(view.graph[name]))


def is_flat(node: Node) -> bool:
    """Whether a value has less than 4 dimensions, so that no release gives it a TRANSPOSE at the delegate's start."""
    return node.meta is not None and node.meta.rank < _TRANSPOSED_RANK


def _is_transposed(node: Node, target: Target) -> bool:
    """Whether a TRANSPOSE reads an input of the delegate, whatever else does."""
    return not DROPS_UNREAD_INPUTS.in_force(target) and not is_flat(node)


class _Outside:
    """The nodes that stay on the CPU."""

    def __init__(self, view: View, target: Target, refused: frozenset[str], stays: _Stays) -> None:
        self._view, self._target, self._refused, self._stays = view, target, refused, stays
        self._known: dict[str, bool] = {}

    def has(self, node: Node) -> bool:
        """Whether a node does. Each is asked once: a node is asked for by each of its operands and readers."""
        found = self._known.get(node.name)
        if found is None:
            found = node.name in self._refused or self._stays(self._view, node, self._target)
            found = self._known[node.name] = found or stays_for_int64(self._view, self._target, node)
        return found


class _Delegate:
    """A delegate by its number; ``floats`` is whether it may compute with floats.

    If not, the partitioner takes each DQ out of it again that an output or an op on the CPU reads. ``read``: the names
    of the nodes on whose values the results depend. What is found out about a value is kept: many may read it.
    """

    def __init__(
        self, view: View, number: int, outside: _Outside, numbers: Mapping[str, int], read: frozenset[str], *,
        floats: bool,
    ) -> None:  # fmt: skip
        self._view = view
        self._outside = outside
        self._floats = floats
        self._number = number
        self._numbers = numbers
        self._read = read
        self._members: dict[str, bool] = {}
        self._leads: dict[str, Node | None] = {}

    def lost(self, node: Node) -> Node | None:
        """An input of the delegate that leads to ``node`` alone, or to others of its kind."""
        start = next(iter(self._view.graph.inputs(node)), None)
        if start is None:
            return None
        pending, begun = [start], {node.name}
        while pending:
            item = pending[-1]
            if item.name not in self._leads and item.name not in begun:
                begun.add(item.name)
                further = [other for other in self._above(item) if other.name not in begun]
                if further:
                    pending += further
                    continue
            pending.pop()
            self._leads.setdefault(item.name, self._found(item))
        return self._leads[start.name]

    def _above(self, item: Node) -> tuple[Node, ...]:
        """What an input of the delegate may lead through to ``item``; nothing if it is one, or if its value is read."""
        if item.constant or item.name in self._read or self._is_input(item):
            return ()
        return tuple(self._view.graph.inputs(item))

    def _found(self, item: Node) -> Node | None:
        """The lost input that ``item`` is, or that leads to it: what is above it is known."""
        if item.constant:
            return None
        if self._is_input(item):
            return None if any(self._takes(user, item) for user in self._view.users(item)) else item
        above = (self._leads.get(other.name) for other in reversed(self._above(item)))
        return next((found for found in above if found is not None), None)

    def _is_input(self, item: Node) -> bool:
        """Whether a value is an input. Without float support, that of a quantize op of an input is one."""
        if not self._has(item):
            return True
        producer = self._view.producer(item) if self._view.is_q(item) and not self._floats else None
        return producer is not None and not self._has(producer)

    def _takes(self, user: Node, item: Node) -> bool:
        """Whether an op in the delegate takes the value of an input."""
        return user.name in self._read and self._has(user) and item.name in _values_of(self._view, user)

    def _has(self, node: Node) -> bool:
        found = self._members.get(node.name)
        if found is None:
            found = self._members[node.name] = self._is_member(node)
        return found

    def _is_member(self, node: Node) -> bool:
        if node.op != "call" or self._numbers[node.name] != self._number or self._outside.has(node):
            return False
        return self._floats or not self._view.is_dq(node) or not any(map(self._is_outside, self._view.users(node)))

    def _is_outside(self, user: Node) -> bool:
        return user.op == "output" or self._outside.has(user)


def _is_taken(node: Node) -> bool:
    return node.meta is not None and node.meta.dtype not in _NOT_TAKEN


def _read(view: View) -> frozenset[str]:
    """The names of the nodes on whose values the results depend."""
    found = {node.name for node in view.graph if node.op == "output"}
    for node in reversed(view.graph.nodes.values()):
        if node.name in found:
            if shape_operand(view, node) is None:
                found.update([item.name for item in view.graph.inputs(node)])
            else:
                found.update(_values_of(view, node))
    return frozenset(found)


def _values_of(view: View, node: Node) -> list[str]:
    """The names of the nodes whose values ``node`` takes."""
    names = [ref.name for ref in node.refs()]
    return names[1:] if shape_operand(view, node) is not None else names
