"""The error of a 16-bit lookup table is found where it is largest.

Protects: a bound that was computed at every 32nd code and fell short of what the reference model showed (108 steps of
116, an exp that saturates between two entries).
"""

from __future__ import annotations

import math
import time

import pytest

from fuseguard.backend.lookup_table import table_error
from fuseguard.backend.table_codes import NO_ERROR, worst_error
from fuseguard.ir import View
from fuseguard.ir.builder import GraphBuilder
from fuseguard.ir.qparams import QParams
from fuseguard.target import MEASURED_RELEASES, Target


def wide(scale: float) -> QParams:
    return QParams.per_tensor(scale, 0, -32767, 32767, "int16")


def program_code(value: float, out: QParams) -> int:
    return out.quantize(value)


@pytest.mark.parametrize("scale", [0.0002744, 0.0003, 0.0002599])
def test_no_code_is_further_off_than_the_bound(scale: float) -> None:
    """TOSA's TABLE by its own words, at every code of the segments around the kink."""
    data, out = wide(scale), wide(0.0016654)
    entries = [program_code(math.exp((-32768 + 128 * index) * scale), out) for index in range(513)]
    kink = math.log(out.qmax * out.scale) / scale
    seen = 0
    for code in range(int(kink) - 512, min(int(kink) + 512, 32767)):
        index, fraction = divmod(code + 32768, 128)
        got = ((entries[index] << 7) + (entries[index + 1] - entries[index]) * fraction + 64) >> 7
        seen = max(seen, abs(got - program_code(math.exp(code * scale), out)))
    bound = worst_error("exp", data, out, endpoint=True, shift_clamped=True).steps
    assert seen > 50
    assert seen <= bound <= 1.5 * seen


def test_a_quantized_square_is_a_table() -> None:
    """DecomposeIntPowPass leaves quantized ops alone: 27 steps in a drawn program, where the square saturates."""
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 8), wide(2.0**-12))
    square = b.call("aten.pow.Tensor_Scalar", x, 2)
    graph = b.output(b.requantize(square, wide(0.000257)))
    error = table_error(View(graph), graph[square], Target.parse("TOSA-1.0+INT+int16"))
    assert 27 <= error.steps <= 128


@pytest.mark.parametrize("kind", ["sqrt", "sign", "logit"])
@pytest.mark.parametrize("release", MEASURED_RELEASES)
def test_a_unary_op_that_is_no_table_op_has_no_table(kind: str, release: str) -> None:
    """sqrt and logit stay on the CPU, sign is decomposed: DT503 called the sqrt of a hand-annotated program wrong."""
    b = GraphBuilder()
    value = b.call(f"aten.{kind}.default", b.quantized_input("x", (1, 8), wide(0.001)))
    graph = b.output(b.requantize(value, wide(0.001)))
    assert table_error(View(graph), graph[value], Target.parse("TOSA-1.0+INT+int16", release)) == NO_ERROR


@pytest.mark.parametrize(("qmin", "qmax"), [(-(2**63), 2**63), (2**40, 2**41), (5, -5)])
def test_codes_outside_of_the_table_are_not_looked_at(qmin: int, qmax: int) -> None:
    """A file may claim any range of codes. This took minutes for 2**63 of them."""
    data = QParams.per_tensor(0.0003, 0, qmin, qmax, "int16")
    started = time.process_time()
    for kind in ("exp", "sigmoid", "rsqrt"):
        worst_error(kind, data, wide(0.0016654), endpoint=True, shift_clamped=True)
    assert time.process_time() - started < 5
