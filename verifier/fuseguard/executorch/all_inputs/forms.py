"""What each element of a tensor is computed from, and how.

Both sides of a cell, the program's ops and the TOSA ops, are brought into one form. An element is an *expression*
(which pointwise ops, with which constants) of *leaves* (which elements of the operands, or which accumulators). Ops
that only move values move both, so that an index map is known exactly, and without running anything. Elements with
one expression compute one function: it is enough to enumerate it once.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class Unsupported(Exception):
    """A cell that cannot be brought into this form. The text says why, for the report."""


@dataclass(frozen=True)
class Expr:
    """A pointwise function of ``kinds``.

    ``key``: what is applied. ``args``: to which expressions, each with the slots of this one that it reads. ``params``:
    numbers that may differ from channel to channel (a RESCALE's multiplier and shift). ``kinds``: what each slot holds:
    the operand's number, or the node that accumulates.
    """

    key: tuple[Hashable, ...]
    args: tuple[tuple[int, tuple[int, ...]], ...] = ()
    params: tuple[int, ...] = ()
    kinds: tuple[Hashable, ...] = ()


class Expressions:
    """All expressions of one side of a cell, each of them once."""

    def __init__(self) -> None:
        self.all: list[Expr] = []
        self._numbers: dict[Expr, int] = {}
        #: What a key refers to and cannot contain: an fx node, or an attribute table.
        self.data: dict[Hashable, Any] = {}

    def number(self, expr: Expr) -> int:
        if expr not in self._numbers:
            self._numbers[expr] = len(self.all)
            self.all.append(expr)
        return self._numbers[expr]

    def __getitem__(self, number: int) -> Expr:
        return self.all[number]


@dataclass(eq=False)
class Elements:
    """``exprs``: by element the number of its expression. ``leaves``: by slot, the leaf's number; -1 where unused."""

    exprs: Array
    leaves: list[Array]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.exprs.shape)

    def moved(self, exprs: Array, leaves: list[Array]) -> Elements:
        return Elements(exprs, leaves)

    def uniform(self) -> int | None:
        """The expression of all elements, if they have the same one."""
        first = int(self.exprs.flat[0])
        return first if bool((self.exprs == first).all()) else None


@dataclass(eq=False)
class Constant:
    """What does not depend on the operands.

    ``codes``: of a dequantized tensor, the codes less the zero point; ``scales``: by element. None for others.
    """

    value: Any
    codes: Array | None = None
    scales: Array | None = None


def leaf_elements(table: Expressions, shape: Sequence[int], leaves: Array, kind: Hashable) -> Elements:
    """The elements of a tensor that is given as it is."""
    number = table.number(Expr(("leaf",), kinds=(kind,)))
    return Elements(np.full(tuple(shape), number, np.int64), [leaves.reshape(tuple(shape)).astype(np.int64)])


def constant_elements(table: Expressions, values: Array, dtype: str) -> Elements:
    """The elements of a constant: one expression for each value."""
    distinct, which = np.unique(values, return_inverse=True)
    numbers = np.array([table.number(Expr(("const", dtype, item.item()))) for item in distinct], np.int64)
    return Elements(numbers[which].reshape(values.shape), [])


def joined(parts: Sequence[Elements], join: Any) -> Elements:
    """``join`` (a concatenation) applied to expressions and leaves."""
    most = max(len(part.leaves) for part in parts)
    leaves = []
    for slot in range(most):
        columns = [
            part.leaves[slot] if slot < len(part.leaves) else np.full(part.shape, -1, np.int64) for part in parts
        ]
        leaves.append(join(columns))
    return Elements(join([part.exprs for part in parts]), leaves)


def pointwise(
    table: Expressions,
    key: tuple[Hashable, ...],
    args: Sequence[Elements],
    params: Array | None = None,
    choices: Sequence[tuple[int, ...]] = ((),),
) -> Elements:
    """``key`` applied element by element, with numpy's broadcasting.

    ``params``: by element, which of ``choices`` are its numbers; None means the first for all of them.
    """
    shape = np.broadcast_shapes(*(arg.shape for arg in args), *([params.shape] if params is not None else []))
    size = int(np.prod(shape, dtype=np.int64))
    columns = [np.broadcast_to(arg.exprs, shape).reshape(-1) for arg in args]
    columns.append(np.zeros(size, np.int64) if params is None else np.broadcast_to(params, shape).reshape(-1))
    leaves = [[np.broadcast_to(leaf, shape).reshape(-1) for leaf in arg.leaves] for arg in args]
    exprs = np.empty(size, np.int64)
    out: list[Array] = []
    for rows, where in groups(columns):
        numbers, choice = rows[:-1], int(rows[-1])
        slots: list[Array] = []
        kinds: list[Hashable] = []
        maps = []
        for number, columns_of_leaves in zip(numbers, leaves, strict=True):
            expr = table[int(number)]
            own = []
            for slot, kind in enumerate(expr.kinds):
                values = columns_of_leaves[slot][where]
                same = next((i for i, seen in enumerate(slots) if np.array_equal(seen, values)), None)
                if same is None:
                    same = len(slots)
                    slots.append(values)
                    kinds.append(kind)
                own.append(same)
            maps.append((int(number), tuple(own)))
        exprs[where] = table.number(Expr(key, tuple(maps), tuple(choices[choice]), tuple(kinds)))
        for slot, values in enumerate(slots):
            if slot == len(out):
                out.append(np.full(size, -1, np.int64))
            out[slot][where] = values
    return Elements(exprs.reshape(shape), [column.reshape(shape) for column in out])


def groups(columns: Sequence[Array]) -> list[tuple[Array, Any]]:
    """The distinct rows of ``columns``, and where each of them is."""
    if all(bool((column == column[0]).all()) for column in columns if column.size):
        return [(np.array([column[0] for column in columns]), slice(None))] if columns[0].size else []
    key = np.zeros(columns[0].size, np.int64)
    for column in columns:  # one number for each row: that is quicker to sort than rows
        values, which = np.unique(column, return_inverse=True)
        key = np.unique(key * len(values) + which.reshape(-1), return_inverse=True)[1].reshape(-1)
    order = np.argsort(key, kind="stable")
    ends = np.cumsum(np.bincount(key))
    rows = np.stack([column[order[ends - 1]] for column in columns], 1)
    starts = np.concatenate(([0], ends[:-1]))
    return [(row, order[start:end]) for row, start, end in zip(rows, starts, ends, strict=True)]


@dataclass(eq=False)
class Accumulator:
    """Sums of codes times constant integers: ``sum((code - zero_point) * filter)``, one for each patch and filter.

    ``patches``: ``[patches, taps]``, which operand elements are summed; -1 is one that adds nothing. ``filters``:
    ``[filters, taps]``. ``groups``: row ``(p, o)`` reads patch ``p * groups + o // (filters / groups)``. ``scale`` and
    ``bias`` (``[filters]``) make of the sum what the op yields: ``sum * scale + bias``; integers in TOSA.
    ``kind``: the operand.
    """

    offset: int
    patches: Array
    filters: Array
    groups: int
    zero_point: int
    scale: Array
    bias: Array
    kind: Hashable
    shape: tuple[int, ...] = ()

    @property
    def rows(self) -> int:
        return (len(self.patches) // self.groups) * len(self.filters)

    def split(self, leaves: Array) -> tuple[Array, Array]:
        """The patch and the filter of each row."""
        row = leaves - self.offset
        place, filters = row // len(self.filters), row % len(self.filters)
        return place * self.groups + filters // (len(self.filters) // self.groups), filters


class Leaves:
    """Numbers for leaves: those of the operands come first, then rows of accumulators, and windows by content."""

    def __init__(self) -> None:
        self.next = 0
        self.windows: dict[bytes, int] = {}
        self.contents: dict[int, Array] = {}

    def take(self, count: int) -> int:
        start = self.next
        self.next += count
        return start

    def window(self, patches: Array) -> Array:
        """One leaf for each row of ``patches``: the same one for the same set of elements. -1 counts for nothing."""
        ordered = np.sort(patches, axis=1)
        ordered[:, 1:][ordered[:, 1:] == ordered[:, :-1]] = -1
        ordered = np.sort(ordered, axis=1)
        distinct, which = np.unique(ordered, axis=0, return_inverse=True)
        numbers = []
        for row in distinct:
            content = row[row >= 0]
            if content.size == 0:
                raise Unsupported("a pool has a window without elements")
            if content.size == 1:
                numbers.append(int(content[0]))
                continue
            key = content.tobytes()
            if key not in self.windows:
                self.windows[key] = self.take(1)
                self.contents[self.windows[key]] = content
            numbers.append(self.windows[key])
        found: Array = np.array(numbers, np.int64)[which.reshape(-1)]
        return found
