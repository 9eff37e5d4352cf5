"""Finds pairs of codes at which the output code of a program changes: there, two functions differ first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fuseguard.executorch.all_inputs.forms import Array

#: A program's value for columns of codes, ``[rows]`` for each operand: one number for each row.
Computed = Callable[[Sequence[Array]], Array]


def at_thresholds(codes: Sequence[Array], computed: Computed, changes: Array | None) -> list[Array]:
    """Columns of codes, one for each operand, on both sides of changes of the value.

    ``codes``: all codes of each operand, ascending. ``changes``: the values between which the result changes (the
    rounding limits of a quantize op), ascending; None for a result of two values, which changes halfway between them.

    Each operand is searched in turn. Its partner takes all of its own codes, and further operands take drawn ones. For
    each such row, one of ``changes`` that the row can reach is drawn, and bisection yields two neighbouring codes with
    values on different sides of it. The search relies on nothing: of a function that is not monotone, it finds one of
    the changes. A row that reaches none of them is left out.
    """
    generator = np.random.default_rng(0)
    columns: list[list[Array]] = [[] for _ in codes]
    for searched, own in enumerate(codes):
        most = max(len(item) for place, item in enumerate(codes) if place != searched)
        rows = [np.resize(generator.permutation(item), most) for item in codes]

        def value(at: Array, rows: list[Array] = rows, searched: int = searched, own: Array = own) -> Array:
            given = [own[at] if place == searched else item for place, item in enumerate(rows)]
            return computed(given).reshape(-1).astype(np.float64)

        below, above = np.zeros(most, np.int64), np.full(most, len(own) - 1)
        ends = value(below), value(above)
        limit, reached = _drawn(ends, changes, generator)
        rising = ends[0] < ends[1]
        while bool((above - below > 1).any()):
            middle = (below + above) // 2
            before = (value(middle) < limit) == rising
            below, above = np.where(before, middle, below), np.where(before, above, middle)
        for at in (below, above):
            for place, item in enumerate(rows):
                columns[place].append((own[at] if place == searched else item)[reached])
    return [np.concatenate(parts) for parts in columns]


def _drawn(ends: tuple[Array, Array], changes: Array | None, generator: np.random.Generator) -> tuple[Array, Array]:
    """By row, a change between the values at both ends, and whether there is one."""
    low, high = np.minimum(*ends), np.maximum(*ends)
    if changes is None:
        return (low + high) / 2, np.isfinite(low) & np.isfinite(high) & (low < high)
    first, last = np.searchsorted(changes, low, side="right"), np.searchsorted(changes, high, side="left")
    reached = np.isfinite(low) & np.isfinite(high) & (first < last)
    chosen = first + (generator.random(len(low)) * np.maximum(last - first, 1)).astype(np.int64)
    return changes[np.minimum(chosen, len(changes) - 1)], reached
