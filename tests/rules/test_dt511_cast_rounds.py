"""DT511 where its examples do not reach, torch-free.

Protects: casts of values that have no fraction, and casts that the backend does not take.
"""

from __future__ import annotations

import pytest

from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard_rules.dtype.dt511_cast_rounds import CastRounds
from fuseguard_testkit.linting import find

SHAPE = (1, 4, 6, 6)


def cast(*dtypes: str, of: str = "float32", before: str = "") -> Graph:
    """A float input that is cast to each of ``dtypes`` in turn, after the op ``before``."""
    b = GraphBuilder()
    value = b.input("x", SHAPE, of)
    if before:
        value = b.call(f"aten.{before}.default", value, annotated=False)
    for dtype in dtypes:
        value = b.call("aten.to.dtype", value, dtype, dtype=dtype, annotated=False)
    y = b.quantized_input("y", SHAPE, int8(0.0237, -3))
    return b.output(value, b.requantize(b.call("aten.neg.default", y), int8(0.0237, 3)))


@pytest.mark.parametrize("before", ["ceil", "floor", "round", "trunc"])
def test_what_was_rounded_has_no_fraction(before: str) -> None:
    assert not find(CastRounds(), cast("int8", before=before))


@pytest.mark.parametrize("dtypes", [("int64",), ("uint8",), ("bool",), ("int32", "int16"), ("float16",)])
def test_other_casts(dtypes: tuple[str, ...]) -> None:
    assert not find(CastRounds(), cast(*dtypes))


@pytest.mark.parametrize("of", ["float16", "bfloat16"])
def test_only_float32_loses_its_fraction_before_int32(of: str) -> None:
    [finding] = find(CastRounds(), cast("int32", of=of))
    assert finding.rewrite is None


@pytest.mark.parametrize(("same", "found"), [(True, False), (False, True)])
def test_what_is_always_the_same_integer_has_no_fraction(same: bool, found: bool) -> None:
    """x - x is 0, whichever dequantize ops yield x."""
    b = GraphBuilder()
    qparams = int8(0.0237, -3)
    q, other = b.quantize(b.input("x", SHAPE), qparams), b.quantize(b.input("y", SHAPE), qparams)
    first, second = b.dequantize(q, qparams), b.dequantize(q if same else other, qparams)
    difference = b.requantize(b.call("aten.sub.Tensor", first, second), int8(0.0511, 7))
    graph = b.output(b.call("aten.to.dtype", difference, "int8", dtype="int8", annotated=False))
    for spec in ("TOSA-1.0+INT", "TOSA-1.0+INT+FP"):
        assert bool(find(CastRounds(), graph, spec)) == found
