"""What a right 16-bit table may be off by, against the TABLE of the TOSA specification worked out by hand."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.torch
pytest.importorskip("torch")

import math  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402

from fuseguard.executorch.lockstep.tables import table_bounds  # noqa: E402
from fuseguard.ir.qparams import QParams  # noqa: E402

EVERY = np.arange(-(2**15), 2**15)


def int16(scale: float) -> QParams:
    return QParams.per_tensor(scale, 0, -(2**15), 2**15 - 1, "int16")


def op(target: object) -> torch.fx.Node:
    graph = torch.fx.Graph()
    return graph.call_function(target, (graph.placeholder("x"),))  # type: ignore[arg-type]


def test_a_function_that_hardly_bends_may_be_off_by_what_rounding_explains() -> None:
    bounds = table_bounds(op(torch.ops.aten.sigmoid.default), int16(0.000187), int16(1 / 32767), EVERY)
    assert bounds is not None
    assert bounds.seen <= 2


def test_between_two_entries_the_chord_is_what_a_table_can_hold() -> None:
    data, out = int16(2.0**-12), int16(1 / 2048)
    bounds = table_bounds(op(torch.ops.aten.exp.default), data, out, EVERY)
    assert bounds is not None
    for code in (-32768, -32700, 64, 12345, 20000):
        start = (code >> 7) << 7
        left, exact, right = (
            min(32767, round(math.exp(at * data.scale) / out.scale)) for at in (start, code, start + 128)
        )
        between = ((left << 7) + (right - left) * (code - start) + 64) >> 7
        assert bounds.at(np.array([code]))[0] == 1 + abs(between - exact)


def test_a_table_that_does_not_hold_its_function_has_no_bound_of_its_own() -> None:
    """Thirty periods of a sine: interpolation is off by thousands of steps, and a table may be off by 2^-8 of it."""
    bounds = table_bounds(op(torch.ops.aten.sin.default), int16(0.00301), int16(1 / 32767), EVERY)
    assert bounds is not None
    assert bounds.seen == 1 + 32767 // 256


def test_only_codes_that_were_read_count() -> None:
    """A reciprocal has a pole at 0, and codes far from it are held well."""
    codes = np.arange(16000, 20000)
    node, data, out = op(torch.ops.aten.reciprocal.default), int16(1 / 1000), int16(1 / 10000)
    bounds = table_bounds(node, data, out, codes)
    assert bounds is not None
    assert bounds.seen <= 2
    everywhere = table_bounds(node, data, out, EVERY)
    assert everywhere is not None
    assert everywhere.seen > 100


def test_an_op_that_float64_cannot_compute_has_no_bounds() -> None:
    def refuses(values: torch.Tensor) -> torch.Tensor:
        raise RuntimeError(f"expected scalar type Float but found {values.dtype}")

    assert table_bounds(op(refuses), int16(0.1), int16(0.1), EVERY) is None
