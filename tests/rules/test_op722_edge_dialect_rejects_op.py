"""OP722 where its examples do not reach, torch-free.

Protects: in-place ops and out variants are known by their functional op, ops of other namespaces and of the edge
dialect are left alone, and nothing is reported without the check of the edge IR.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from fuseguard.backend.releases import MEASURED_RELEASES
from fuseguard.ir import Graph, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.graph import Arg, Dialect
from fuseguard.target import Target
from fuseguard_rules.operator.op722_edge_dialect_rejects_op import EdgeDialectRejectsOp
from fuseguard_testkit.linting import find

SPEC = "TOSA-1.0+INT"
QPARAMS = int8(0.0237, -3)


def program(target: str, dialect: Dialect = "aten", *, used: bool = True) -> Graph:
    b = GraphBuilder(dialect)
    x = b.quantized_input("x", (1, 4, 6, 6), QPARAMS)
    found = b.call(target, b.requantize(b.call("aten.neg.default", x), QPARAMS), annotated=False)
    return b.output(found if used else x)


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("aten.exp2.default", "aten.exp2.default,"),
        ("aten.exp2_.default", "aten.exp2.default,"),
        ("aten.exp2.out", "aten.exp2.default,"),
        ("aten.bitwise_left_shift_.Tensor", "aten.bitwise_left_shift.Tensor,"),
        ("aten.bitwise_left_shift.Tensor_out", "aten.bitwise_left_shift.Tensor,"),
        ("aten.__lshift__.Scalar", "aten.__lshift__.Scalar,"),
        (
            "aten._upsample_bicubic2d_aa.vec",
            "aten._upsample_bicubic2d_aa.vec, which becomes aten._upsample_bicubic2d_aa.default,",
        ),
    ],
)
def test_what_is_rejected(target: str, text: str) -> None:
    [finding] = find(EdgeDialectRejectsOp(), program(target), SPEC, "1.5.1")
    assert f" is {text} which is not in the edge dialect" in finding.message
    assert finding.effect.value == "crash"
    assert not finding.refuse


@pytest.mark.parametrize(
    "graph",
    [
        program("aten.exp.default"),
        program("aten.bitwise_left_shift.Tensor", "edge"),
        program("custom.exp2.default"),
        program("aten.exp2.default", used=False),
        program("aten.exp2.unknown"),
    ],
)
def test_what_is_not(graph: Graph) -> None:
    assert find(EdgeDialectRejectsOp(), graph, SPEC, "1.5.1") == ()


def test_nothing_is_rejected_without_the_check() -> None:
    target = replace(Target.parse(SPEC, "1.5.1"), ir_validity=False)
    assert list(EdgeDialectRejectsOp().check(View(program("aten.exp2.default")), target)) == []


def of_complex_numbers(target: str, *args: int, dtype: str = "complex64") -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", (2, 8), QPARAMS)
    spectrum = b.call("aten.fft_rfft.default", x, shape=(2, 5), dtype="complex64", annotated=False)
    return b.output(b.call(target, spectrum, *args, dtype=dtype, annotated=False))


@pytest.mark.parametrize(
    ("graph", "releases"),
    [
        (of_complex_numbers("aten.abs.default", dtype="float32"), ">=1.2"),
        (of_complex_numbers("aten.mul.Tensor", 2), ">=1.2"),
        (of_complex_numbers("aten.reshape.default", 10), ">=1.2"),
        (of_complex_numbers("aten.transpose.int", 0, 1), "<1.4"),
        (of_complex_numbers("aten.slice.Tensor", 1, 1, 5), "<1.4"),
        (of_complex_numbers("aten.permute.default"), "<1.4"),
        (of_complex_numbers("aten.view_as_real.default", dtype="float32"), ""),
        (of_complex_numbers("aten.fft_irfft.default", dtype="float32"), ""),
    ],
)
def test_complex_numbers(graph: Graph, releases: str) -> None:
    for release in MEASURED_RELEASES:
        target = Target.parse(SPEC, release)
        expected = [("crash", False)] if releases and target.release_in(releases) else []
        found = find(EdgeDialectRejectsOp(), graph, SPEC, release)
        assert [(finding.effect.value, finding.refuse) for finding in found] == expected
        assert all("of complex numbers, which is not in the edge dialect" in finding.message for finding in found)


@pytest.mark.parametrize(
    ("target", "args", "found"),
    [
        ("aten.rrelu.default", (), True),
        ("aten.upsample_nearest2d.default", ((12, 12),), True),
        ("aten.upsample_nearest2d.vec", ((12, 12), None), False),
        ("aten.upsample_nearest1d.default", ((12,),), True),
        ("aten.relu.default", (), False),
    ],
)
@pytest.mark.parametrize("release", MEASURED_RELEASES)
def test_what_a_table_decomposes_and_the_verifier_finds_all_the_same(
    target: str, args: tuple[Arg, ...], found: bool, release: str
) -> None:
    b = GraphBuilder()
    value = b.call(target, b.quantized_input("x", (1, 4, 6, 6), int8(0.05)), *args)
    assert bool(find(EdgeDialectRejectsOp(), b.output(b.requantize(value, int8(0.05))), release=release)) is found
