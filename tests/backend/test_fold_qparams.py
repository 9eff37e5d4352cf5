"""When two qparams agree: by what requantizing does to the codes, not by mere inequality."""

from __future__ import annotations

import pytest

from fuseguard.backend.fold_qparams import largest_change, same_codes
from fuseguard.ir import QParams
from fuseguard.ir.builder import int8, int16

NARROW = int8(0.00397, -119)
WIDE = int8(0.01031, -119)


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        (NARROW, NARROW, True),
        (NARROW, int8(0.00397 * (1 + 0.49 / 246), -119), True),
        (NARROW, int8(0.00397 * (1 + 0.55 / 246), -119), False),
        (NARROW, int8(0.00397, -118), False),
        (NARROW, int16(0.00397), False),
        (int16(0.001), int16(0.001 * (1 + 0.4 / 32767)), True),
        (int16(0.001), int16(0.001 * (1 + 0.6 / 32767)), False),
    ],
)
def test_qparams_agree_when_requantizing_changes_no_code(one: QParams, other: QParams, agree: bool) -> None:
    assert same_codes(one, other) is agree


@pytest.mark.parametrize("other", [WIDE, int8(0.0021, 5), int8(0.00397, 90), int8(0.0039, -119, -127)])
def test_the_largest_change_is_that_of_all_codes_tried(other: QParams) -> None:
    """The bound of a finding is exact: no code changes more, and one changes as much."""
    every = (abs(other.quantize(NARROW.dequantize(code)) - code) for code in range(-128, 128))
    assert largest_change(NARROW, other) == max(every)


def test_the_largest_change_survives_extreme_ratios() -> None:
    assert largest_change(int8(1e-30), int8(1e30)) == 128
    assert largest_change(int8(1e30), int8(1e-30)) == 127
