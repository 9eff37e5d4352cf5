"""The arithmetic that every rule and bound rests on."""

from __future__ import annotations

import importlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseguard.ir import QParams
from fuseguard.ir.builder import int8

INT8 = st.builds(int8, st.floats(1e-6, 1e4), st.integers(-128, 127))


@given(INT8, st.integers(-128, 127))
def test_dequantized_codes_quantize_to_themselves(qparams: QParams, code: int) -> None:
    """Q(DQ(c)) = c: what every repair relies on."""
    assert qparams.quantize(qparams.dequantize(code)) == code


@given(INT8, st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_quantize_is_monotone_and_saturates(qparams: QParams, a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert qparams.qmin <= qparams.quantize(low) <= qparams.quantize(high) <= qparams.qmax


def test_halves_round_to_even_as_torch_does() -> None:
    assert [int8(1.0).quantize(value) for value in (0.5, 1.5, 2.5, -0.5, -1.5)] == [0, 2, 2, 0, -2]


def test_infinities_saturate_and_nan_is_refused() -> None:
    assert int8(0.1).quantize(math.inf) == 127
    assert int8(0.1).quantize(-math.inf) == -128
    with pytest.raises(ValueError, match="NaN"):
        int8(0.1).quantize(math.nan)


@pytest.mark.torch
@given(st.floats(1e-3, 10), st.integers(-128, 127), st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=8))
def test_codes_are_those_of_torch(scale: float, zero_point: int, values: list[float]) -> None:
    """Within the rounding of float32, in which torch divides."""
    torch = pytest.importorskip("torch")
    importlib.import_module("torch.ao.quantization.fx._decomposed")  # registers the operators

    q = torch.ops.quantized_decomposed.quantize_per_tensor.default
    codes = q(torch.tensor(values), scale, zero_point, -128, 127, torch.int8).tolist()
    ours = [int8(scale, zero_point).quantize(value) for value in values]
    assert all(abs(a - b) <= 1 for a, b in zip(codes, ours, strict=True))
    near_tie = [abs((value / scale) % 1 - 0.5) < 1e-3 for value in values]
    assert all(a == b or tie for a, b, tie in zip(codes, ours, near_tie, strict=True))


def test_per_channel_qparams_have_no_single_scale() -> None:
    qparams = QParams((0.1, 0.2), (0, 0), -127, 127, "int8", axis=0)
    assert qparams.per_channel
    with pytest.raises(ValueError, match="per-channel"):
        _ = qparams.scale


def test_arithmetic_can_use_one_normal_scale() -> None:
    assert all(int8(scale).usable for scale in (2.0**-126, 0.1, 1e30))
    assert not any(int8(scale).usable for scale in (0.0, -0.1, 1e-41, math.nan, math.inf, -math.inf))
    assert not QParams((0.1, 0.2), (0, 0), -127, 127, "int8", axis=0).usable, "a scale for each channel"
    assert not QParams((), (), -127, 127, "int8", axis=0, source="scales").usable, "not read"


def test_one_domain_needs_equal_scale_zero_point_and_dtype() -> None:
    assert int8(0.1, 3).same_domain(int8(0.1, 3, qmin=-127)), "the code range does not change what a code means"
    assert not int8(0.1, 3).same_domain(int8(0.2, 3))
    assert not int8(0.1, 3).same_domain(int8(0.1, 4))
    assert not int8(0.1, 0).same_domain(QParams.per_tensor(0.1, 0, -128, 127, "int16"))
