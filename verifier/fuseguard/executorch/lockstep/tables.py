"""By how many steps a right 16-bit lookup table is off, code by code: computed from the program's own op.

TOSA's TABLE has 513 entries for the 65,536 codes of int16 and interpolates between them. What is computed here is the
best such table, and no pass of the backend: whatever a release makes of the table is held against it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from fuseguard.executorch.lockstep.layouts import Array
from fuseguard.ir.qparams import QParams

_CODES = np.arange(-(2**15), 2**15)
#: Codes between two entries.
_APART = 128
#: A table that is further off than this part of its largest entry does not hold its function: half a step of an int8
#: table over the same range.
_TOLERABLE = 2.0**-8


class TableBounds(NamedTuple):
    """``steps``: by how many steps of the output a right table may be off, by code, from -32,768 on; ``seen``: the
    most of the codes that were read.
    """

    steps: Array
    seen: float

    def at(self, codes: Array) -> Array:
        bounds: Array = self.steps[codes.astype(np.int64) + 2**15]
        return bounds


def table_bounds(node: torch.fx.Node, data: QParams, out: QParams, codes: Array) -> TableBounds | None:
    """The bounds of the table of a unary op that reads ``codes``; None if the op cannot be computed in float64.

    One step is for the rounding of the two entries and of what lies between them. The rest is what the function does
    between two entries, and no more than a table may lose and still hold its function.

    Args:
        node: the op in the program. Its first argument is its only tensor.
        data, out: per-tensor int16 qparams of its operand and of its result.
        codes: the operand's codes.
    """
    # The end of the last segment is a code that int16 does not have.
    inside = np.clip(np.append(_CODES, 2**15), data.qmin, data.qmax + (data.qmax == 2**15 - 1))
    exact = _codes_of(node, (inside - data.zero_point) * data.scale, out)
    if exact is None:
        return None
    lost = np.abs(_interpolated(exact[::_APART]) - exact[:-1])
    # Before 1.5 the last segment has one value for all of its codes.
    flat = np.abs(exact[-1 - _APART] - exact[-1 - _APART : -1])
    entries = np.abs(np.nan_to_num(exact[::_APART]))
    tolerable = lost.max() if lost.max() <= entries.max() * _TOLERABLE else _of_segments(entries, codes) * _TOLERABLE
    lost[-_APART:] = np.maximum(lost[-_APART:], flat)
    steps = 1.0 + np.minimum(lost, np.floor(tolerable))
    read = np.unique(codes.astype(np.int64)) + 2**15
    return TableBounds(steps, float(steps[read].max()) if read.size else 1.0)


def _of_segments(entries: Array, codes: Array) -> float:
    """The largest of the entries between the least and the greatest code."""
    if not codes.size:
        return 0.0
    first, last = ((int(code) + 2**15) // _APART for code in (codes.min(), codes.max()))
    return float(entries[first : last + 2].max())


def _codes_of(node: torch.fx.Node, values: Array, out: QParams) -> Array | None:
    """The output codes of an op for ``values``, NaN where it has no value."""
    target: Any = node.target
    try:
        with torch.no_grad():
            result = target(torch.from_numpy(values), *node.args[1:], **node.kwargs)
    except (RuntimeError, TypeError):
        return None
    steps = np.rint(result.to(torch.float64).numpy() / out.scale) + out.zero_point
    codes: Array = np.clip(steps, out.qmin, out.qmax)
    return codes


def _interpolated(entries: Array) -> Array:
    """What TABLE yields for each code, its seven fractional bits rounded off."""
    entries = np.nan_to_num(entries)
    left, right = entries[:-1, None], entries[1:, None]
    between = np.floor((left * _APART + (right - left) * np.arange(_APART) + _APART // 2) / _APART)
    codes: Array = between.reshape(-1)
    return codes
