"""Finds the codes of a program's value among the tensors of its lowering."""

from __future__ import annotations

from functools import cached_property
from typing import TypeAlias

import networkx as nx
import numpy as np

from fuseguard.executorch.lockstep.layouts import Array, align, least_distance, outline
from fuseguard.executorch.lockstep.observing import Observed, Place, Tensor

#: By the size of a code in bytes: by how many steps a tensor may be off to be taken for a value's without a doubt.
_NEAR = {1: 1, 2: 8}
#: Tensors that are compared element by element where none has a value's codes.
_MOST_COMPARED = 12


#: The places of one value: those of all tensors with its codes, of which any may be the one that it is read from.
Places: TypeAlias = frozenset[Place]


class Search:
    """The tensors of a lowering by size, outlined once."""

    def __init__(self, observed: Observed) -> None:
        self.observed = observed
        self.by_size: dict[tuple[int, int], list[Tensor]] = {}
        for tensor in observed.tensors:
            self.by_size.setdefault((tensor.kept.size, tensor.kept.itemsize), []).append(tensor)
        self._outlines: dict[tuple[Place, str], Array] = {}
        self._after: dict[Places, Places] = {}
        self._places: dict[Place, Places] = {}

    def near(
        self, expected: Array, ties: Array, places: frozenset[Places], constant: bool = False
    ) -> tuple[Array, Tensor] | None:
        """The first tensor with the expected codes, ties aside; else the one that is off by the least, if by little.

        ``constant``: they are the same in every run.
        """
        wanted = outline(expected)
        most = _NEAR[expected.itemsize]
        best: tuple[int, Array, Tensor] | None = None
        for tensor in self.candidates(expected, places, constant):
            if least_distance(self._outline(tensor, expected), wanted, expected.size) > most:
                continue
            alignment = align(as_codes(tensor.values, expected), expected)
            if alignment is None:
                continue
            steps = np.abs(alignment.values.astype(np.int64) - expected.astype(np.int64))
            wrong = int(((steps > 0) & ~(ties & (steps == 1))).sum())
            if not wrong:
                return alignment.values, tensor
            if steps.max() <= most and (best is None or wrong < best[0]):
                best = wrong, alignment.values, tensor
        return best[1:] if best is not None else None

    def nearest(
        self, expected: Array, places: frozenset[Places], taken: frozenset[Place], constant: bool = False
    ) -> list[Tensor]:
        """The tensors whose codes vary as the expected ones do, the nearest first."""
        wanted = outline(expected)
        free = [tensor for tensor in self.candidates(expected, places, constant) if tensor.place not in taken]
        free.sort(key=lambda tensor: least_distance(self._outline(tensor, expected), wanted, expected.size))
        alike = []
        for tensor in free[:_MOST_COMPARED]:
            alignment = align(as_codes(tensor.values, expected), expected)
            if alignment is not None and _alike(alignment.values, expected):
                alike.append((alignment.mean_error, tensor.number, tensor))
        return [tensor for _, _, tensor in sorted(alike, key=lambda item: item[:2])]

    def candidates(self, expected: Array, places: frozenset[Places], constant: bool) -> list[Tensor]:
        """The tensors of this size that are computed from all values at ``places``, in the order of execution.

        ``constant``: and from nothing that differs from run to run. Such a value has no operands that would tell its
        tensor from any other one with nearly its codes.
        """
        tensors = self.by_size.get((expected.size, expected.itemsize), [])
        after = [self._descendants(alternatives) for alternatives in places]
        without = self._varying if constant else frozenset[Place]()
        return [
            tensor for tensor in tensors
            if tensor.place not in without and all(tensor.place in reached for reached in after)
        ]  # fmt: skip

    def places_of(self, tensor: Tensor, expected: Array) -> Places:
        """The places of all tensors with the codes of ``tensor``, in any order: it may be computed several times."""
        if tensor.place not in self._places:
            own = self._outline(tensor, expected)
            alike = self.by_size[tensor.kept.size, tensor.kept.itemsize]
            same = (other.place for other in alike if np.array_equal(self._outline(other, expected), own))
            self._places[tensor.place] = frozenset(same)
        return self._places[tensor.place]

    @cached_property
    def _varying(self) -> Places:
        """The places of what is computed from something that differs from run to run."""
        return self._descendants(self.observed.given)

    def _descendants(self, alternatives: Places) -> Places:
        if alternatives not in self._after:
            flow = self.observed.flow
            self._after[alternatives] = alternatives.union(*(nx.descendants(flow, place) for place in alternatives))
        return self._after[alternatives]

    def _outline(self, tensor: Tensor, expected: Array) -> Array:
        key = tensor.place, expected.dtype.kind
        if key not in self._outlines:
            self._outlines[key] = outline(as_codes(tensor.values, expected))
        return self._outlines[key]


def _alike(one: Array, other: Array) -> bool:
    """Whether the two vary together: a value that came out wrong still depends on what it was computed from."""
    left, right = one.astype(np.float64).reshape(-1), other.astype(np.float64).reshape(-1)
    if left.size < 2 or left.std() == 0 or right.std() == 0:
        return bool(np.abs(left - right).mean() <= 16) if left.size else False
    return bool(np.corrcoef(left, right)[0, 1] > 0.5)


def as_codes(values: Array, expected: Array) -> Array:
    """``values`` with the sign that ``expected`` has: TOSA has no uint8, and keeps such codes in int8 tensors."""
    return values.view(expected.dtype) if values.dtype.itemsize == expected.dtype.itemsize else values
