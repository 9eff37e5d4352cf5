"""Compares codes of the two sides, with what the lockstep judge allows (lockstep/cells.py)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fuseguard.executorch.all_inputs.forms import Array
from fuseguard.executorch.all_inputs.piece import Rounded


@dataclass
class Tally:
    """What was compared so far. ``wrong``: what differs by more than is allowed."""

    count: int = 0
    ties: int = 0
    rounded: int = 0
    saturated: int = 0
    #: The bound of the cell's ops, in steps; 0 for int8.
    bound: float = 0.0
    #: How many steps of the value the lowering's constants may move it by: the rounding of a bias to int32.
    reach: float = 0.0
    methods: dict[str, None] = field(default_factory=dict)
    #: Why not all codes were tried.
    reasons: dict[str, None] = field(default_factory=dict)

    def codes(self, actual: Array, expected: Rounded, own: Array | None = None) -> Array:
        """Where ``actual`` is neither right nor allowed. ``own``: torch's codes in float32.

        Saturation is accepted here and counted: it must be all that differs (:class:`Tally`.saturated).
        """
        actual = actual.view(expected.codes.dtype) if actual.itemsize == expected.codes.itemsize else actual
        steps = np.abs(actual.astype(np.int64) - expected.codes.astype(np.int64))
        self.count += steps.size
        wrong: Array = steps > 0
        if not bool(wrong.any()):
            return wrong
        tie = wrong & expected.ties & (steps == 1)
        rounded = wrong & ~tie & ((steps <= self.bound) | (expected.near & (steps == 1)))
        if own is not None:
            rounded |= wrong & ~tie & (actual == own)
        saturated = wrong & ~tie & ~rounded & (actual == expected.unclipped)
        self.ties += int(tie.sum())
        self.rounded += int(rounded.sum())
        self.saturated += int(saturated.sum())
        left: Array = wrong & ~tie & ~rounded & ~saturated
        return left

    def numbers(self, actual: Array, expected: Array, step: float | None, tolerance: float) -> Array:
        """The same for results in floats: within a hundredth of ``step``, or ``tolerance`` of the largest value."""
        self.count += actual.size
        got, want = actual.astype(np.float64), np.broadcast_to(expected, actual.shape).astype(np.float64)
        finite = want[np.isfinite(want)]
        limit = 0.01 * step if step else tolerance * (float(np.abs(finite).max()) if finite.size else 0.0)
        with np.errstate(invalid="ignore"):
            different: Array = ~((got == want) | (np.isnan(got) & np.isnan(want)) | (np.abs(got - want) <= limit))
        return different


def first(mask: Array) -> tuple[Any, ...]:
    return tuple(int(item) for item in np.unravel_index(int(mask.reshape(-1).argmax()), mask.shape))
