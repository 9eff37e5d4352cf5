"""The codes of a 16-bit lookup table, and how far they are from the function that they stand for.

This is arithmetic on qparams and codes: it knows no program and no node, so ``fuseguard why-not`` does not follow it.

Source: ``InsertTableOpsPass.generate_16_bit_table_values`` of ExecuTorch 1.2.0, 1.3.1, 1.4.1 and 1.5.1; TABLE in the
TOSA specification.

Rules that depend on it: those of lookup_table.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from fuseguard.engine.effort import MAX_ITEMS, work
from fuseguard.ir.intervals import Codes
from fuseguard.ir.qparams import QParams
from fuseguard.ir.scalar_functions import FUNCTIONS, value_of

_SEGMENT_BITS = 7
_SEGMENT = 1 << _SEGMENT_BITS
_LOWEST, _HIGHEST = -(2**15), 2**15 - 1
_SEGMENTS = 2**16 >> _SEGMENT_BITS
#: This many segments are computed code by code: of more, those that are worst at every 32nd code.
_FEW = 16
#: Rounding the two entries and what lies between them explains one step if the curve itself is this near.
_HIDDEN = 0.5
#: Both roundings, of the entries and of what lies between them, may add up to one step.
_ROUNDING = 1
#: How far a right lowering may take a code beyond those that the program reaches: elementwise ops round once more.
_BESIDE = 2
#: A table may be off by this part of its largest entry, half a step of an int8 table over the same range, and still
#: be taken for what a table is; beyond it the result counts as wrong.
_TOLERABLE = 2.0**-8


class TableError(NamedTuple):
    """How far a table is from its function: in steps of the output, 0 if rounding explains it, and beside its
    largest entry.
    """

    steps: int
    largest: int

    @property
    def tolerable(self) -> bool:
        return self.steps <= self.largest * _TOLERABLE


NO_ERROR = TableError(0, 0)


def worst_error(
    kind: str,
    data: QParams,
    out: QParams,
    parameters: tuple[float, ...] = (),
    codes: Codes | None = None,
    *,
    endpoint: bool,
    shift_clamped: bool,
) -> TableError:
    """The largest difference to the program over all codes that the input can have.

    Differences of one step, which rounding explains, count as 0, and so does a function that is not known.

    Args:
        kind: kind of op, a key of FUNCTIONS.
        data, out: per-tensor int16 qparams.
        parameters: the numbers that the function takes beside the value (``parameters_of``).
        codes: the least and the greatest code that the input has, if that is less than all of ``data``.
        endpoint: whether the entry after the last code is made for that code (#21629, 1.5 and newer) or repeats
            the one before.
        shift_clamped: whether a table of few codes is left as it is (#20668, 1.4 and newer) or shifted by a
            negative count, which leaves zeros.

    Raises TooMuchWork when a program has more tables than are worked out.
    """
    work((kind, data, out, parameters, codes))
    return _worst_error(kind, data, out, parameters, codes, endpoint, shift_clamped)


@lru_cache(maxsize=2 * MAX_ITEMS)  # two rules ask for the same, one after the other
def _worst_error(
    kind: str,
    data: QParams,
    out: QParams,
    parameters: tuple[float, ...],
    codes: Codes | None,
    endpoint: bool,
    shift_clamped: bool,
) -> TableError:
    function = FUNCTIONS.get(kind)
    if function is None or not (data.usable and out.usable):
        return NO_ERROR
    exact = _Codes(function, parameters, data, out, codes or (data.qmin, data.qmax))
    entries = [exact.code(_start(index)) for index in range(_SEGMENTS)]
    after_last = _HIGHEST + 1 if endpoint and data.qmax == _HIGHEST else _start(_SEGMENTS - 1)
    entries.append(exact.code(after_last))
    largest = max((abs(entry) for entry in entries if entry is not None), default=0)
    if largest == 0:
        return NO_ERROR
    first, last = exact.segments
    told = max((abs(entry) for entry in entries[first : last + 2] if entry is not None), default=0)
    if math.ceil(math.log2(largest)) + 1 - 16 < 0 and not shift_clamped:
        entries = [None if entry is None else entry >> 31 for entry in entries]
        suspects = list(range(first, last + 1))
    else:
        # Only there is an entry that the function's own value at its code does not explain.
        suspects = exact.bent(first, last)
    if len(suspects) > _FEW:
        # The error changes little from one segment to the next, but for where the function saturates or jumps.
        roughly = {index: _segment_error(exact, entries, index, _SEGMENT // 4) for index in suspects}
        suspects = sorted(suspects, key=roughly.__getitem__)[-_FEW:]
    worst = max((_segment_error(exact, entries, index, 1) for index in suspects), default=0)
    return TableError(worst if worst > _ROUNDING else 0, told)


def _start(index: int) -> int:
    """The input code that the entry at ``index`` is for."""
    return (index << _SEGMENT_BITS) + _LOWEST


class _Codes:
    """The output code of the program for an input code; None where the function has no value."""

    def __init__(
        self, function: Callable[..., float], parameters: tuple[float, ...], data: QParams, out: QParams, given: Codes
    ) -> None:
        self.function, self.parameters, self.data, self.out = function, parameters, data, out
        # What rounds otherwise than the program may put a code beside those that the program reaches. No code is
        # outside of the table, whatever range a file claims.
        self.least = max(given[0] - _BESIDE, data.qmin, _LOWEST)
        self.most = min(given[1] + _BESIDE, data.qmax, _HIGHEST)
        # Attributes: those of qparams are computed each time.
        self._scale, self._zero_point = data.scale, data.zero_point
        self._out_scale = out.scale
        # Beyond the codes of the output by one step, where all values saturate.
        self._limits = out.qmin - out.zero_point - 1.0, out.qmax - out.zero_point + 1.0
        # By their code: entries, and what lies between them, ask for the same ones.
        self._values: dict[int, float] = {}

    @property
    def segments(self) -> tuple[int, int]:
        """The first and the last segment that holds a code that the input can have."""
        return (self.least - _LOWEST) // _SEGMENT, (self.most - _LOWEST) // _SEGMENT

    def value(self, code: int) -> float:
        """The function at a code, in steps of the output; NaN where it has none."""
        value = self._values.get(code)
        if value is None:
            argument = (code - self._zero_point) * self._scale
            value = value_of(self.function, argument, self.parameters) / self._out_scale
            self._values[code] = value
        return value

    def code(self, code: int) -> int | None:
        value = self.value(code)
        return None if value != value else self.out.quantize(value * self._out_scale)

    def bent(self, first: int, last: int) -> list[int]:
        """The segments whose middle is further from the chord than the rounding of its ends may hide, and the last
        segment of the table.
        """
        ends = [self._clamped(_start(index)) for index in range(first, last + 2)]
        middles = [self._clamped(_start(index) + _SEGMENT // 2) for index in range(first, last + 1)]
        return [
            index
            for index, left, middle, right in zip(range(first, last + 1), ends, middles, ends[1:], strict=False)
            if index == _SEGMENTS - 1 or abs(middle - (left + right) / 2) > _HIDDEN
        ]

    def _clamped(self, code: int) -> float:
        low, high = self._limits
        value = self.value(code)
        return low if value < low else value if value < high else high  # a NaN is high


def _segment_error(exact: _Codes, entries: list[int | None], index: int, stride: int) -> int:
    """The largest difference between the program and the table in a segment, at every ``stride``-th code."""
    start = _start(index)
    left, right = entries[index], entries[index + 1]
    if left is None or right is None:
        return 0
    worst = 0
    least, most, code_of = exact.least, exact.most, exact.code
    # TOSA TABLE between two entries, and the RESCALE that takes its seven fractional bits off.
    base, rise = (left << _SEGMENT_BITS) + _SEGMENT // 2, right - left
    # The last code of a segment is looked at whatever the stride: the endpoint is at fault there first.
    for code in (*range(start + stride, start + _SEGMENT - 1, stride), start + _SEGMENT - 1):
        if least <= code <= most:
            want = code_of(code)
            if want is not None:
                difference = abs(want - ((base + rise * (code - start)) >> _SEGMENT_BITS))
                if difference > worst:
                    worst = difference
    return worst
