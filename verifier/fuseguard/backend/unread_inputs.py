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
    for node in shaped:
        # What INT leaves on the CPU is found where floats are lowered: it breaks there.
        left = stays_outside(view, node, target) or (not target.has_float and is_left_out_of_int(view, target, node))
        stays = stays_on_cpu_with_float if left else stays_outside
        if stays not in numbers:
            numbers[stays] = delegate_numbers(view, outsides[stays])
        delegate = _Delegate(view, node, outsides[stays], numbers[stays], floats=target.has_float or left)
        lost = _lost(view, delegate, node, read)
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
    if operand is None or not view.is_dq(operand):
        return False
    return any(user.op == "output" or stays_on_cpu(view, user, target) for user in view.users(operand))


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

    def __contains__(self, node: object) -> bool:
        assert isinstance(node, Node)
        if node.name in self._refused or self._stays(self._view, node, self._target):
            return True
        return stays_for_int64(self._view, self._target, node)


class _Delegate:
    """The delegate of an op; ``floats`` is whether it may compute with floats.

    If not, the partitioner takes each DQ out of it again that an output or an op on the CPU reads.
    """

    def __init__(self, view: View, op: Node, outside: _Outside, numbers: Mapping[str, int], *, floats: bool) -> None:
        self._view = view
        self.outside = outside
        self.floats = floats
        self._number = numbers[op.name]
        self._numbers = numbers

    def __contains__(self, node: object) -> bool:
        assert isinstance(node, Node)
        if node.op != "call" or self._numbers[node.name] != self._number or node in self.outside:
            return False
        return self.floats or not self._view.is_dq(node) or not any(map(self._is_outside, self._view.users(node)))

    def _is_outside(self, user: Node) -> bool:
        return user.op == "output" or user in self.outside


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


def _lost(view: View, delegate: _Delegate, node: Node, read: frozenset[str]) -> Node | None:
    """An input of the delegate that leads to ``node`` alone, or to others of its kind."""
    pending, seen = list(view.graph.inputs(node)[:1]), {node.name}
    while pending:
        item = pending.pop()
        if item.constant or item.name in seen:
            continue
        seen.add(item.name)
        if _is_input(view, delegate, item):
            if not any(_takes(view, delegate, user, item, read) for user in view.users(item)):
                return item
        elif item.name not in read:
            pending += view.graph.inputs(item)
    return None


def _is_input(view: View, delegate: _Delegate, item: Node) -> bool:
    """Whether a value is an input of the delegate. Without float support, that of an input's quantize op is one."""
    if item not in delegate:
        return True
    producer = view.producer(item) if view.is_q(item) and not delegate.floats else None
    return producer is not None and producer.op != "call"


def _takes(view: View, delegate: _Delegate, user: Node, item: Node, read: frozenset[str]) -> bool:
    """Whether an op in the delegate takes the value of an input."""
    return user.name in read and user in delegate and item.name in _values_of(view, user)
