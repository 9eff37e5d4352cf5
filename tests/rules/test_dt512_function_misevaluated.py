"""DT512 where its examples do not reach, torch-free.

Protects: which arguments a formula is off for, and which numbers of the ELU family a release uses.
"""

from __future__ import annotations

import math
import re

import pytest

from fuseguard.engine import Finding
from fuseguard.ir import Graph, QParams
from fuseguard.ir.builder import GraphBuilder, full_int16, int8
from fuseguard.ir.graph import Arg
from fuseguard_rules.dtype.dt512_function_misevaluated import FunctionMisevaluated
from fuseguard_testkit.linting import find

SHAPE = (1, 4, 6, 6)
LIKE_EXPM1: tuple[tuple[Arg, ...], ...] = (("expm1",), ("elu",), ("selu",), ("celu", 1.5))
FUNCTIONS = (*LIKE_EXPM1, ("log1p",), ("atan",), ("asin",), ("acos",), ("asinh",))


def function(name: Arg, *numbers: Arg, of: QParams | str = "float32", annotated: bool = False) -> Graph:
    """A function of a float input, or of a quantized one."""
    b = GraphBuilder()
    x = b.input("x", SHAPE, of) if isinstance(of, str) else b.quantized_input("x", SHAPE, of)
    dtype = of if isinstance(of, str) and of.startswith("float") else "float32"
    return b.output(b.call(f"aten.{name}.default", x, *numbers, dtype=dtype, annotated=annotated))


def found(graph: Graph, release: str = "1.5.1") -> Finding | None:
    """The finding in a graph of one op, or None; the same with floats and without."""
    findings = find(FunctionMisevaluated(), graph, release=release)
    assert len(findings) == len(find(FunctionMisevaluated(), graph, "TOSA-1.0+INT", release)) <= 1
    return findings[0] if findings else None


def witness(finding: Finding | None) -> tuple[float, float, float]:
    """What a delegate yields, for which argument, and what torch yields."""
    assert finding is not None
    said = re.search(r"yields (\S+) for (\S+) in .* and (\S+) in torch", finding.message)
    assert said is not None
    lowered, argument, torch = map(float, said.groups())
    return lowered, argument, torch


@pytest.mark.parametrize("call", FUNCTIONS, ids=lambda call: call[0])
def test_a_float_input_may_be_any_number(call: tuple[Arg, ...]) -> None:
    assert found(function(*call)) is not None


@pytest.mark.parametrize("call", FUNCTIONS, ids=lambda call: call[0])
def test_a_quantized_op_is_a_table(call: tuple[Arg, ...]) -> None:
    assert found(function(*call, annotated=True)) is None


@pytest.mark.parametrize("name", ["exp", "tanh", "sigmoid", "gelu", "log", "erf", "sin"])
def test_functions_that_tosa_has(name: str) -> None:
    assert found(function(name)) is None


@pytest.mark.parametrize("dtype", ["float64", "int32"])
def test_what_is_no_float32(dtype: str) -> None:
    """A float64 stays on the CPU."""
    assert found(function("expm1", of=dtype)) is None


def between(call: tuple[Arg, ...], qparams: QParams) -> Graph:
    """A function that reads a view of a dequantized value: no pass takes it for quantized."""
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, qparams)
    x = b.call("aten.view.default", x, (4, 36), shape=(4, 36), annotated=False)
    return b.output(b.call(f"aten.{call[0]}.default", x, *call[1:], annotated=False))


def test_multiples_of_a_large_scale_miss_the_series() -> None:
    assert found(function("expm1", of=int8(0.6))) is None
    assert found(function("expm1", of=int8(0.3))) is not None


def test_only_negative_numbers_are_exponents_of_an_elu() -> None:
    positive = int8(0.01, -128)
    assert found(between(("elu",), positive)) is None
    assert found(between(("expm1",), positive)) is not None


@pytest.mark.parametrize(("call", "release", "case"), [
    (("elu",), "1.5.1", "numbers"),
    (("elu",), "1.2.0", "elu"),
    (("elu", 1, 1, 2), "1.5.1", "elu"),
    (("elu", 1, 1, 2), "1.2.0", "numbers"),
    (("elu", 2.0), "1.2.0", "numbers"),
    (("selu",), "1.2.0", "numbers"),
    (("celu", 2.0), "1.3.1", "numbers"),
    (("celu", 2.0), "1.2.0", "elu"),
])  # fmt: skip
def test_numbers_of_what_reads_a_dequantize_op(call: tuple[Arg, ...], release: str, case: str) -> None:
    finding = found(function(*call, of=int8(0.01)), release)
    assert finding is not None
    assert finding.case == case
    off = found(between(call, int8(0.01)), release)
    assert off is not None
    assert off.case == "elu"


@pytest.mark.parametrize(("release", "least", "most"), [("1.2.0", 0.04, 0.06), ("1.3.1", 0, 1e-4), ("1.5.1", 0, 1e-4)])
def test_before_1_3_selu_is_not_scaled(release: str, least: float, most: float) -> None:
    lowered, _, torch = witness(found(between(("selu",), int8(0.01)), release))
    assert least < abs(lowered - torch) / max(1.0, abs(torch)) < most


def test_before_1_3_a_selu_of_positive_numbers_is_off_too() -> None:
    assert found(between(("selu",), int8(0.01, -128)), "1.2.0") is not None
    assert found(between(("selu",), int8(0.01, -128)), "1.3.1") is None
    assert found(between(("elu", 1.0, 1.5), int8(2.0, -128)), "1.2.0") is not None


@pytest.mark.parametrize(("call", "release", "is_found"), [
    (("elu", 0.5), "1.2.0", True),
    (("elu", 0.5), "1.3.1", False),
    (("elu", 2), "1.2.0", False),
    (("elu", 1.0, 1.5), "1.2.0", True),
    (("selu",), "1.2.0", True),
    (("expm1",), "1.2.0", False),
])  # fmt: skip
def test_before_1_3_a_table_has_an_integer_for_alpha(call: tuple[Arg, ...], release: str, is_found: bool) -> None:
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, int8(0.0077))
    graph = b.output(b.requantize(b.call(f"aten.{call[0]}.default", x, *call[1:]), int8(0.0133, -40)))
    finding = found(graph, release)
    assert (finding is not None) == is_found
    assert finding is None or finding.case == "table"


def test_the_series_of_a_celu_with_a_large_alpha_reaches_further() -> None:
    """It is one of x / alpha."""
    _, argument, _ = witness(found(function("celu", 100.0)))
    assert -35.0 <= argument < -30.0


@pytest.mark.parametrize(("zero_point", "is_found"), [(-128, False), (127, True), (0, True)])
def test_log1p_is_off_for_negative_numbers(zero_point: int, is_found: bool) -> None:
    assert (found(function("log1p", of=int8(0.0037, zero_point))) is not None) == is_found


def test_an_argument_for_which_torch_has_a_number_is_preferred() -> None:
    lowered, argument, torch = witness(found(function("log1p")))
    assert -1.0 < argument < 0.0
    assert math.isfinite(torch)
    assert lowered > torch


def test_an_asinh_is_off_far_below_zero() -> None:
    assert found(function("asinh", of=int8(0.1))) is None
    assert found(function("asinh", of=int8(1.0))) is not None
    assert found(function("asinh", of=int8(1.0, -128))) is None


@pytest.mark.parametrize(("release", "effect"), [("1.4.1", "wrong"), ("1.5.1", "crash")])
@pytest.mark.parametrize("after", ["avg_pool2d", "permute"])
def test_an_asin_after_a_permute_crashes_since_1_5(after: str, release: str, effect: str) -> None:
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 4, 8, 12), int8(0.0077))
    if after == "permute":
        value = b.call("aten.permute.default", x, (0, 2, 3, 1), shape=(1, 8, 12, 4))
    else:
        value = b.call("aten.avg_pool2d.default", x, (2, 2), shape=(1, 4, 4, 6))
    finding = found(b.output(b.call("aten.asin.default", b.requantize(value, int8(0.0077)), annotated=False)), release)
    assert finding is not None
    assert (finding.case, finding.effect.value) == ("moved asin", effect)


def test_float16_has_a_wider_tolerance() -> None:
    assert found(function("log1p", of="float16")) is not None
    assert found(function("expm1", of="float16")) is None


def test_int16_codes_are_sampled() -> None:
    assert found(function("atan", of=full_int16(1e-4))) is not None
    assert found(function("atan", of=full_int16(5e-6))) is None


def test_a_binary_cross_entropy_computes_log1p() -> None:
    b = GraphBuilder()
    p, target = (b.quantized_input(name, SHAPE, int8(1 / 255, -128)) for name in ("p", "target"))
    finding = found(b.output(b.call("aten.binary_cross_entropy.default", p, target, annotated=False)))
    assert finding is not None
    assert finding.case == "log1p"
    lowered, argument, torch = witness(finding)
    assert argument == 1.0
    assert torch == -100.0
    assert -3.0 < lowered < -2.0


def test_an_operand_that_is_a_result_of_an_op() -> None:
    """A relu yields nothing below 0, and a tanh nothing beyond 1."""
    b = GraphBuilder()
    x = b.input("x", SHAPE)
    elu = b.call("aten.elu.default", b.call("aten.relu.default", x, annotated=False), annotated=False)
    assert found(b.output(elu)) is None
    b = GraphBuilder()
    x = b.input("x", SHAPE)
    elu = b.call("aten.elu.default", b.call("aten.tanh.default", x, annotated=False), annotated=False)
    assert found(b.output(elu)) is not None


def test_numbers_that_are_not_known() -> None:
    b = GraphBuilder()
    x = b.input("x", SHAPE)
    alpha = b.input("alpha", ())
    assert found(b.output(b.call("aten.elu.default", x, alpha, annotated=False))) is None
