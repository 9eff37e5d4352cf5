"""An input of a delegate that only the shape of is used, while its value is used on the CPU.

Protects: OP713 where an op on the CPU divides the program. torchvision's Swin is such a program for Ethos-U55, which
has no ``where``: it masks by a constant of the shape of another mask.
"""

from __future__ import annotations

import pytest

from fuseguard import check
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8

_SHAPE, _IN, _CPU, _MADE = (1, 4, 6), int8(0.05, 0), int8(0.04, -10), int8(0.03, 5)
U55 = "TOSA-1.0+INT+int16+int4+u55"


def beside_a_float_op() -> Graph:
    """``exp`` in float is on the CPU in INT."""
    b = GraphBuilder()
    codes = b.quantize(b.call("aten.neg.default", b.quantized_input("x", _SHAPE, _IN)), _IN)
    on_cpu = b.quantize(b.call("aten.exp.default", b.dequantize(codes, _IN), annotated=False), _CPU)
    made = b.requantize(b.call("aten.full_like.default", b.dequantize(on_cpu, _CPU), 0.5), _MADE)
    added = b.requantize(b.call("aten.add.Tensor", made, b.dequantize(codes, _IN)), _IN)
    return b.output(added, b.call("aten.exp.default", b.dequantize(on_cpu, _CPU), annotated=False))


def beside_a_selection() -> Graph:
    """Ethos-U55 has neither ``gt`` nor ``where``."""
    b = GraphBuilder()
    codes = b.quantize(b.call("aten.neg.default", b.quantized_input("x", _SHAPE, _IN)), _IN)
    first, second, third = (b.dequantize(codes, _IN) for _ in range(3))
    positive = b.call("aten.gt.Tensor", first, second, dtype="bool")
    chosen = b.quantize(b.call("aten.where.self", positive, b.dequantize(codes, _IN), third), _IN)
    made = b.requantize(b.call("aten.full_like.default", b.dequantize(chosen, _IN), 0.5), _MADE)
    added = b.requantize(b.call("aten.add.Tensor", made, b.dequantize(codes, _IN)), _IN)
    again = b.call("aten.where.self", positive, b.dequantize(chosen, _IN), b.dequantize(codes, _IN))
    return b.output(added, b.requantize(again, _IN))


def announced(graph: Graph, spec: str) -> set[str]:
    return {item.effect.value for item in check(graph, spec).findings if item.code == "OP713"}


def test_a_quantize_op_of_what_the_cpu_computes_is_an_input() -> None:
    assert announced(beside_a_float_op(), "TOSA-1.0+INT") == {"runtime_fault"}
    assert announced(beside_a_float_op(), "TOSA-1.0+INT+FP") == set()
    assert announced(beside_a_selection(), U55) == {"runtime_fault"}
    assert announced(beside_a_selection(), "TOSA-1.0+INT") == set(), "nothing divides the program"


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize("spec", ["TOSA-1.0+INT", "TOSA-1.0+INT+FP", U55])
@pytest.mark.parametrize("build", [beside_a_float_op, beside_a_selection])
def test_the_delegate_fails_where_that_is_announced(build: object, spec: str) -> None:
    pytest.importorskip("executorch")
    pytest.importorskip("tosa_reference_model")
    from fuseguard.executorch import prove, repair
    from fuseguard.executorch.materialize import materialize

    assert callable(build)
    program, inputs = materialize(build())
    expected = announced(build(), spec) or {"exact"}
    assert {prove(program, inputs, spec).outcome} == expected
    if expected != {"exact"}:
        assert prove(repair(program, spec).program, inputs, spec).outcome == "exact"
