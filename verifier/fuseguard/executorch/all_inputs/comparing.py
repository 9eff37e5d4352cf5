"""Compares the two forms of a cell, function by function."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from fuseguard.executorch.all_inputs.forms import Array, Elements, Unsupported, groups
from fuseguard.executorch.all_inputs.graph_rules import schema_name
from fuseguard.executorch.all_inputs.piece import Piece, Rounded
from fuseguard.executorch.all_inputs.thresholds import at_thresholds
from fuseguard.executorch.all_inputs.verdicts import Tally
from fuseguard.executorch.comparing import FLOAT_TOLERANCE
from fuseguard.executorch.lowering import is_quantizer

#: Rows times columns that are computed at once.
_AT_ONCE = 1 << 22
#: Combinations that are drawn where not all can be tried.
_DRAWN = 1 << 16


@dataclass(frozen=True)
class Suspect:
    """A difference on paper: codes by leaf that show it, at ``element`` of the value. It has yet to be run."""

    leaves: Mapping[int, int]
    element: int


@dataclass(frozen=True, eq=False)
class Function:
    """Elements that compute one function on each side.

    ``theirs``, ``ours``: the expressions of the lowering and of the program. ``slots_theirs``, ``slots_ours``: which of
    ``leaves`` each slot is. ``kinds``: of ``leaves``. ``elements``: which ones. ``leaves``: by slot, those of them.
    """

    theirs: int
    ours: int
    slots_theirs: tuple[int, ...]
    slots_ours: tuple[int, ...]
    kinds: tuple[Hashable, ...]
    elements: Array
    leaves: tuple[Array, ...]


def functions(piece: Piece, theirs: Elements, ours: Elements) -> list[Function]:
    """The elements of a value by what they compute and by which of their leaves are the same ones."""
    if theirs.exprs.size != ours.exprs.size:
        raise Unsupported("the two sides have different sizes")
    left = [leaf.reshape(-1) for leaf in theirs.leaves]
    right = [leaf.reshape(-1) for leaf in ours.leaves]
    columns = [theirs.exprs.reshape(-1), ours.exprs.reshape(-1)]
    columns += [(one == other).astype(np.int64) for one in left for other in right]
    columns += [(left[i] == left[j]).astype(np.int64) for i in range(len(left)) for j in range(i)]
    found = []
    everything = np.arange(theirs.exprs.size)
    for row, where in groups(columns):
        elements = everything[where]
        numbers = int(row[0]), int(row[1])
        kinds: list[Hashable] = []
        leaves: list[Array] = []
        maps = []
        sides = ((piece.lowering_table, numbers[0], left), (piece.program_table, numbers[1], right))
        for table, number, columns_of_leaves in sides:
            own = []
            for slot, kind in enumerate(table[number].kinds):
                values = columns_of_leaves[slot][where]
                same = next((i for i, seen in enumerate(leaves) if np.array_equal(seen, values)), None)
                if same is None:
                    same = len(leaves)
                    leaves.append(values)
                    kinds.append(kind)
                own.append(same)
            maps.append(tuple(own))
        found.append(Function(*numbers, maps[0], maps[1], tuple(kinds), elements, tuple(leaves)))
    return found


def enumerate_codes(piece: Piece, found: list[Function], tally: Tally, step: float | None) -> list[Suspect]:
    """Computes functions of codes on all codes; the first difference, shown by several codes. Raises Unsupported."""
    batches: dict[Hashable, list[Function]] = {}
    for function in found:
        key = (
            piece.in_lowering.signature(function.theirs), function.ours, function.slots_theirs, function.slots_ours,
            function.kinds,
        )  # fmt: skip
        batches.setdefault(key, []).append(function)
    for batch in batches.values():
        rows, all_of_them = combinations(piece, batch[0].kinds)
        tally.methods[_method(batch[0].kinds, all_of_them)] = None
        if not all_of_them:
            operands = len(batch[0].kinds)
            tally.reasons[f"{operands} operands have too many combinations of codes"] = None
            changing = _at_thresholds(piece, batch[0])
            rows = [np.concatenate((given, more[:, None])) for given, more in zip(rows, changing, strict=True)]
        at_once = max(1, _AT_ONCE // max(1, len(rows[0]) if rows else 1))
        for start in range(0, len(batch), at_once):
            suspects = _compared(piece, batch[start : start + at_once], rows, tally, step)
            if suspects:
                return suspects
    return []


def _method(kinds: tuple[Hashable, ...], all_of_them: bool) -> str:
    if not kinds:
        return "constants"
    if not all_of_them:
        return "drawn codes"
    return "all codes" if len(kinds) == 1 else "all pairs of codes"


def combinations(piece: Piece, kinds: tuple[Hashable, ...]) -> tuple[list[Array], bool]:
    """Codes for each operand as columns of one length, and whether these are all that there are."""
    operands = [piece.by_kind.get(kind) for kind in kinds]
    if any(operand is None for operand in operands):
        raise Unsupported("a function of accumulators and codes")
    codes = [operand.codes for operand in operands if operand is not None]
    total = int(np.prod([len(item) for item in codes], dtype=np.float64))
    if total <= 1 << 16:
        grids = np.meshgrid(*codes, indexing="ij")
        return [grid.reshape(-1, 1) for grid in grids], True
    extremes = [np.array([item[0], item[-1], operand.zero], item.dtype)
                for item, operand in zip(codes, operands, strict=True) if operand is not None]  # fmt: skip
    columns: list[list[Array]] = [[] for _ in codes]
    corners = np.meshgrid(*extremes, indexing="ij") if len(codes) <= 8 else list(extremes)
    for place, grid in enumerate(corners):
        columns[place].append(grid.reshape(-1))
    for place, item in enumerate(codes):
        for corner in range(3):
            for other, extreme in enumerate(extremes):
                columns[other].append(item if other == place else np.full(len(item), extreme[corner], item.dtype))
    generator = np.random.default_rng(0)
    for place, item in enumerate(codes):
        columns[place].append(generator.choice(item, _DRAWN))
    return [np.concatenate(parts)[:, None] for parts in columns], False


def _compared(
    piece: Piece, batch: list[Function], rows: list[Array], tally: Tally, step: float | None
) -> list[Suspect]:
    one = batch[0]
    actual = piece.in_lowering([item.theirs for item in batch], [rows[slot] for slot in one.slots_theirs])
    slots = [rows[slot] for slot in one.slots_ours]
    expr = piece.program_table[one.ours]
    if _rounds(piece, one):
        value = piece.in_float64([expr.args[0][0]], [slots[slot] for slot in expr.args[0][1]])
        of_floats = piece.node.name in piece.walks.of_floats
        expected = Rounded.of(piece.node, np.broadcast_to(value, (len(value), 1)), of_floats)
        own = piece.in_float32([one.ours], slots)
        wrong = tally.codes(actual, _spread(expected, actual.shape), np.broadcast_to(own, actual.shape))
    else:
        value = piece.in_float64([one.ours], slots)
        wrong = tally.numbers(actual, value, step, FLOAT_TOLERANCE)
    if not bool(wrong.any()):
        return []
    # With windows that overlap, not every pair of codes can be had: try the first, the last, and some between.
    column = int(wrong.any(0).argmax())
    function = batch[column]
    places = np.flatnonzero(wrong[:, column])
    return [
        Suspect(
            {int(leaf[0]): int(rows[slot][row, 0]) for slot, leaf in enumerate(function.leaves)},
            int(function.elements[0]),
        )
        for row in dict.fromkeys(int(places[at]) for at in np.linspace(0, len(places) - 1, 5).astype(int))
    ]


def _rounds(piece: Piece, function: Function) -> bool:
    """Whether the program's function ends with the quantize op of the cell."""
    return is_quantizer(piece.node) and piece.program_table[function.ours].key == ("fx", piece.node.name)


def _at_thresholds(piece: Piece, function: Function) -> list[Array]:
    """Codes by operand on both sides of changes of the program's code. Raises Unsupported."""
    number, slots, scale, changes = function.ours, function.slots_ours, 1.0, None
    if _rounds(piece, function):
        number, own = piece.program_table[number].args[0]
        slots = tuple(slots[slot] for slot in own)
        args: Any = piece.node.args
        scale, zero, low, high = args[1:5]
        changes = np.arange(low, high) + 0.5 - zero

    def computed(columns: Sequence[Array]) -> Array:
        return piece.in_float64([number], [columns[slot][:, None] for slot in slots]) / scale

    return at_thresholds([piece.by_kind[kind].codes for kind in function.kinds], computed, changes)


def _spread(expected: Rounded, shape: tuple[int, ...]) -> Rounded:
    parts = (expected.codes, expected.unclipped, expected.ties, expected.near)
    return Rounded(*(np.broadcast_to(item, shape) for item in parts))


def same_ops(piece: Piece, function: Function) -> bool:
    """Whether both sides apply the same torch ops, with the same arguments, to the same elements."""
    return bool(function.kinds) and _spelled(piece, piece.lowering_table, function.theirs, function.slots_theirs) == (
        _spelled(piece, piece.program_table, function.ours, function.slots_ours)
    )


def _spelled(piece: Piece, table: object, number: int, slots: tuple[int, ...]) -> Hashable:
    from fuseguard.executorch.all_inputs.forms import Expressions

    assert isinstance(table, Expressions)
    expr = table[number]
    if expr.key[0] != "fx":
        return (expr.key, slots)
    node: torch.fx.Node = table.data[expr.key[1]]
    if table.data["constants", node.name]:
        return ("a constant that is computed", number, id(table))
    literals = tuple("operand" if isinstance(item, torch.fx.Node) else repr(item) for item in node.args)
    args = tuple(_spelled(piece, table, arg, tuple(slots[slot] for slot in own)) for arg, own in expr.args)
    return (schema_name(node), literals, repr(sorted(node.kwargs.items(), key=str)), args)
