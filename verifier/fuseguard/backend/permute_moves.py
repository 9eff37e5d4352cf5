"""Where the backend moves the permutes of ops that are computed in NHWC.

``PropagateViewCopyPermuteDownPass`` moves a permute down through elementwise ops and slices, over a fork if all readers
let it through, and through an op of several operands if the same permute comes down to each of them
(``FuseIdenticalInputTransformsPass``). ``PropagateViewCopyPermuteUpPass`` then moves it up as far as it can. It cannot
pass an op of several operands, so what has joined other permutes stays below.

Before anything is moved, ``RemovePermutesAroundElementwiseOps`` removes a permute if all that is computed from it ends
where the order of elements does not matter: a view of a tensor of which one size at most is not 1
(``_is_permutation_sink_view``), as after a mean over height and width of a batch of 1.

Source: ``PropagateViewCopyPermuteDownPass``, ``PropagateViewCopyPermuteUpPass``, ``RemovePermutesAroundElementwiseOps``
and ``FuseIdenticalInputTransformsPass`` of ExecuTorch 1.5.1.

Rules that depend on it: DT512, OP708.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from itertools import islice

from fuseguard.backend.elementwise import (
    CHANNELS_LAST,
    LONGEST_CHAIN,
    hands_on,
    has_one_operand,
    producer_of,
    readers_of,
    tensor_operand,
)
from fuseguard.backend.int32_rescales import COMPARISONS
from fuseguard.backend.partition import stays_outside
from fuseguard.backend.value_relations import reads_one_value_twice
from fuseguard.ir import Node, Trait, View
from fuseguard.ir.value import Value
from fuseguard.ir.walks import beyond_quantizers
from fuseguard.target import Target

#: The ops of several operands through which identical permutes move, by kind; maximum and minimum are not among them.
_JOINS = frozenset(("add", "sub", "mul", "div", "where", "cat", *COMPARISONS, "ne"))
#: Ops through which no permute moves down, even if one operand is a number, unless both operands are one value.
_STOPS_DOWN = frozenset(("maximum", "minimum"))
#: The ops whose dimension is adapted when a permute moves through them, by kind.
_SLICES = frozenset(("slice", "split", "chunk"))
#: The ops that become views, by kind.
_VIEWS = frozenset(("view", "squeeze", "unsqueeze"))
#: The op of which the edge dialect makes a minimum with the number 0 as its first operand.
WITH_NUMBER = "log_sigmoid"


class Permute(Value, frozen=True):
    """The op that a permute belongs to, and the order that it makes: that of NHWC, or the dimensions of a permute."""

    of: Node
    order: tuple[object, ...]


class PermuteMoves:
    """The moves in one program. Each value is looked at once in each direction, and to a depth of LONGEST_CHAIN."""

    def __init__(self, view: View, target: Target) -> None:
        self.view = view
        self.target = target
        self._below: dict[str, Permute | None] = {}

    def down_to(self, node: Node, depth: int = 0) -> Permute | None:
        """The permute that comes down to the operands of ``node``; with several tensors, the same comes to each."""
        if depth > LONGEST_CHAIN:
            return None
        if _views_number(self.view, node):
            return None
        if has_one_operand(self.view, node) or node.kind in _SLICES or node.kind == WITH_NUMBER:
            operand = tensor_operand(self.view, node)
            return self._onto(operand, depth) if operand is not None else None
        if node.kind in _STOPS_DOWN and reads_one_value_twice(self.view, node):
            return self._onto(self.view.graph.inputs(node)[0], depth)  # after the DQs are folded, it has one operand
        if node.kind not in _JOINS:
            return None
        arriving = [self._onto(operand, depth) for operand in _tensors(self.view, node)]
        first = arriving[0] if arriving else None
        alike = first is not None and all(item is not None and item.order == first.order for item in arriving)
        return first if alike else None

    def comes_back(self, node: Node, depth: int = 0) -> bool:
        """Whether a permute that came down past ``node`` can come up again to its result."""
        readers = readers_of(self.view, node)
        if depth > LONGEST_CHAIN or any(item.op == "output" for item in readers):
            return True  # it stays in front of the DQ at the delegate's end
        if len(readers) > 1 and not all(self._lets_through(item) for item in readers):
            return True
        return all(self._comes_back_from(reader, depth) for reader in readers)

    def vanishes(self, node: Node) -> bool:
        """Whether the permute that comes down to ``node`` is removed before it is moved.

        It is if every path from the ops between the two on ends in a view whose operand has one size at most that is
        not 1, or in an op with the same permute. Paths are followed through ops of one tensor, slices, pads and sums.
        """
        path = self._path_to_permute(node)
        return bool(path) and _all_end(path, self._few_readers, self._takes_permute)

    def _takes_permute(self, reader: Node) -> bool | None:
        """Whether a permute may end at ``reader``; None if the reader lets it through."""
        if reader.kind in CHANNELS_LAST:
            return True
        if reader.op == "output" or stays_outside(self.view, reader, self.target):
            return False
        if reader.kind == "sum" and reader.arg(2, "keepdim", False) is not True:
            return _has_one_size(reader) and self._order_is_lost(reader)
        if reader.kind in _VIEWS and _has_one_size(self.view.producer(reader)):
            return self._order_is_lost(reader)
        passes = reader.kind in ("sum", "pad", *_SLICES) or has_one_operand(self.view, reader)
        return None if passes else False

    def _order_is_lost(self, view: Node) -> bool:
        """Whether what reads a view of one size at most reads its elements alone, and no other tensor beside them."""
        return _all_end([view], self._few_readers, self._takes_elements)

    def _takes_elements(self, reader: Node) -> bool | None:
        """Whether the order of elements is nothing to ``reader``; None if that depends on who reads its result.

        With float support, the DQ at a delegate's end is in the delegate, and its cast is none of the ops that let a
        permute through. What goes to a linear or another view before that does not come to it.
        """
        if reader.kind in ("permute", "linear", *_VIEWS):
            return True  # the backend puts a view in front of a linear, too
        if reader.op == "output" or stays_outside(self.view, reader, self.target):
            return not self.target.has_float
        return None if has_one_operand(self.view, reader) else False

    def _few_readers(self, node: Node) -> list[Node]:
        """Who reads the result of ``node``; [] if these are many, which are not looked at for each op beside them."""
        found = list(islice(beyond_quantizers(node, self.view.users, hands_on), LONGEST_CHAIN))
        return found if len(found) < LONGEST_CHAIN else []

    def _path_to_permute(self, node: Node) -> list[Node]:
        """The ops from ``node`` up to the one whose permute comes down to it; [] if they are not in one row."""
        path: list[Node] = []
        item: Node | None = node
        while item is not None and len(path) < LONGEST_CHAIN:
            if _own(item) is not None:
                return path
            path.append(item)
            if item.kind not in _SLICES and not has_one_operand(self.view, item):
                return []
            operand = tensor_operand(self.view, item)
            item = producer_of(self.view, operand) if operand is not None else None
        return []

    def up_to(self, node: Node) -> Permute | None:
        """The permute that comes up to the result of ``node``: the same from all of its readers, which then merge."""
        found = self._above.get(node.name)
        return found[0] if found is not None and found[1] <= LONGEST_CHAIN else None

    @cached_property
    def _above(self) -> dict[str, tuple[Permute, int]]:
        """By op: the permute that would come up to its result if chains had no limit, and past how many ops.

        From the last op to the first, so that a long chain is not followed once for each op in it.
        """
        found: dict[str, tuple[Permute, int]] = {}
        for node in reversed(self.view.calls()):
            if hands_on(node):
                continue
            rising = [self._from(reader, found) for reader in readers_of(self.view, node)]
            known = [item for item in rising if item is not None]
            if rising and len(known) == len(rising) and all(item[0].order == known[0][0].order for item in known):
                found[node.name] = known[0][0], max(length for _, length in known)
        return found

    def _onto(self, value: Node, depth: int) -> Permute | None:
        """The permute that comes down to the one reader of ``value`` or, if it is split for all readers, to each."""
        producer = producer_of(self.view, value)
        if producer is None or producer.op != "call" or stays_outside(self.view, producer, self.target):
            return None
        readers = readers_of(self.view, producer)
        if len(readers) > 1 and not all(self._lets_through(reader) for reader in readers):
            return None
        return self._past(producer, depth + 1)

    def _past(self, producer: Node, depth: int) -> Permute | None:
        """The permute that comes out of ``producer`` at its result."""
        if producer.name not in self._below:
            self._below[producer.name] = None  # a hostile graph may have a cycle
            stops = producer.kind in _STOPS_DOWN and not reads_one_value_twice(self.view, producer)
            found = _own(producer) or (None if stops else self.down_to(producer, depth))
            self._below[producer.name] = found if found is not None and _reorders(found, producer) else None
        return self._below[producer.name]

    def _comes_back_from(self, reader: Node, depth: int) -> bool:
        if reader.op == "output" or stays_outside(self.view, reader, self.target):
            return True
        if has_one_operand(self.view, reader) or reader.kind in _SLICES:
            return self.comes_back(reader, depth + 1)
        return self.down_to(reader, depth) is None

    def _from(self, reader: Node, above: Mapping[str, tuple[Permute, int]]) -> tuple[Permute, int] | None:
        """The permute that comes up out of ``reader``, past how many ops. ``above``: those of later ops."""
        if reader.op == "output" or stays_outside(self.view, reader, self.target):
            return None
        own = _own(reader)
        if own is not None:
            return own, 0
        found = above.get(reader.name)
        passed = found is not None and (has_one_operand(self.view, reader) or reader.kind in _SLICES)
        return (found[0], found[1] + 1) if found is not None and passed else None

    def _lets_through(self, reader: Node) -> bool:
        """Whether a permute moves on through what reads it: an elementwise op, or the RESCALE before an op in int32.

        With float support also through the DQ at a delegate's end. Through a pad it goes where it meets the permutes of
        what is computed in NHWC, which it cancels out (RemovePermutesAroundElementwiseOps).
        """
        if reader.op == "output":
            return self.target.has_float
        if reader.kind == "pad":
            return _meets_nhwc(self.view, reader)
        passed = has_one_operand(self.view, reader) or reader.kind in _SLICES
        return passed or (reader.info.has(Trait.ARITHMETIC) and reader.kind != "sum")


def _own(node: Node) -> Permute | None:
    if node.kind in CHANNELS_LAST:
        return Permute(node, ("NHWC",))
    if node.kind == "permute":
        return Permute(node, (node.operator, *node.args[1:]))
    return None


def _reorders(permute: Permute, value: Node) -> bool:
    """Whether the elements of ``value`` change their order; otherwise, the permute becomes a view."""
    shape = value.meta.shape if value.meta is not None else ()
    return permute.order != ("NHWC",) or len(shape) < 3 or (shape[1] != 1 and any(size != 1 for size in shape[2:]))


def _views_number(view: View, node: Node) -> bool:
    """Whether an op reads a number of lower rank, whose view to the op's rank (MatchArgRanksPass) stops a permute."""
    rank = node.meta.rank if node.meta is not None else 0
    numbers = [item.meta for item in view.graph.inputs(node) if item.meta is not None and item.meta.is_float]
    return node.annotated and any(meta.rank < rank and all(size == 1 for size in meta.shape) for meta in numbers)


def _tensors(view: View, node: Node) -> list[Node]:
    """The operands of a node that are not single numbers."""
    inputs = [item for item in view.graph.inputs(node) if item.meta is not None]
    return [item for item in inputs if item.meta is not None and any(size != 1 for size in item.meta.shape)]


def _meets_nhwc(view: View, node: Node) -> bool:
    """Whether all that ``node`` comes to, with nothing but elementwise ops and pads between, is computed in NHWC."""

    def ends(reader: Node) -> bool | None:
        if reader.kind in CHANNELS_LAST:
            return True
        return None if reader.kind == "pad" or has_one_operand(view, reader) else False

    return _all_end([node], partial(readers_of, view), ends)


def _all_end(
    start: Sequence[Node], step: Callable[[Node], Sequence[Node]], ends: Callable[[Node], bool | None]
) -> bool:
    """Whether every path of readers from ``start`` on comes to one of which ``ends`` says True.

    Paths go on where it says None. Many nodes are not looked at for each op before them.
    """
    pending, seen = [*start], {item.name for item in start}
    while pending and len(seen) < LONGEST_CHAIN:
        readers = step(pending.pop())
        if not readers:
            return False
        for reader in readers:
            ended = True if reader.name in seen else ends(reader)
            if ended is False:
                return False
            if ended is None:
                seen.add(reader.name)
                pending.append(reader)
    return not pending


def _has_one_size(value: Node | None) -> bool:
    """Whether one size at most of a value is not 1."""
    return value is not None and value.meta is not None and sum(size != 1 for size in value.meta.shape) <= 1
