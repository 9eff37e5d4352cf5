"""Ops left in float after a dequantize op: what the rules announce is what the installed release does.

Protects: the position in which PL404's hardswish was missed. From the Q and DQ around such an op, or
from the ops next to it, the backend decides what it makes of the op, and delegates it as a float op.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

pytest.importorskip("torch", exc_type=ImportError)
pytest.importorskip("executorch", exc_type=ImportError)

from fuseguard.engine import Severity, run
from fuseguard.engine.registry import load_registry
from fuseguard.executorch import prove
from fuseguard.executorch.materialize import materialize
from fuseguard.ir import Arg, Graph
from fuseguard.ir.builder import GraphBuilder, int8, int16
from fuseguard.target import Target

pytestmark = [pytest.mark.torch, pytest.mark.slow]

SHAPE = (1, 4, 6, 6)
#: The qparams in front of the op, and those after it, by dtype.
QPARAMS = {"int8": (int8(0.02, -10), int8(0.031, -20)), "int16": (int16(0.0002), int16(0.00031))}


class Op(NamedTuple):
    """An op of one tensor, and the shape that it yields."""

    target: str
    args: tuple[Arg, ...] = ()
    shape: tuple[int, ...] = SHAPE


OPS = (
    Op("aten.hardswish.default"),
    Op("aten.hardsigmoid.default"),
    Op("aten.silu.default"),
    Op("aten.sigmoid.default"),
    Op("aten.gelu.default"),
    Op("aten.selu.default"),
    Op("aten.leaky_relu.default"),
    Op("aten.softplus.default"),
    Op("aten.clamp.default", (-0.4, 0.7)),
    Op("aten.pow.Tensor_Scalar", (3,)),
    Op("aten.softmax.int", (1,)),
    Op("aten.cumsum.default", (3,)),
    Op("aten.glu.default", (1,), (1, 2, 6, 6)),
    Op("aten.amax.default", ((2, 3), True), (1, 4, 1, 1)),
    Op("aten.sum.dim_IntList", ((2, 3), True), (1, 4, 1, 1)),
    Op("aten.avg_pool2d.default", ((3, 3),), (1, 4, 2, 2)),
    Op("aten.upsample_nearest2d.vec", (None, (2.0, 2.0)), (1, 4, 12, 12)),
    Op("aten.constant_pad_nd.default", ((1, 1, 2, 0), 0.5), (1, 4, 8, 8)),
)


def left_in_float(op: Op, after: str, dtype: str = "int8") -> Graph:
    """The op between a DQ and a Q of other qparams (``quantized``), a float relu and that Q, or the output."""
    before, result = QPARAMS[dtype]
    b = GraphBuilder()
    value = b.call("aten.neg.default", b.quantized_input("x", SHAPE, before))
    value = b.call(op.target, b.requantize(value, before), *op.args, shape=op.shape, annotated=False)
    if after == "relu":
        value = b.call("aten.relu.default", value, annotated=False)
    return b.output(value if after == "yielded" else b.requantize(value, result))


def judge(graph: Graph, spec: str) -> tuple[str, set[str]]:
    """The outcome of the lowering, and the errors that the rules announce."""
    findings = run(graph, Target.parse(spec), load_registry().rules).findings
    program, inputs = materialize(graph)
    proof = prove(program, inputs, spec)
    return proof.outcome, {finding.effect.value for finding in findings if finding.severity is Severity.ERROR}


@pytest.mark.parametrize("after", ["quantized", "relu", "yielded"])
@pytest.mark.parametrize("op", OPS, ids=[op.target.split(".")[1] for op in OPS])
def test_an_op_left_in_float_does_what_is_announced(op: Op, after: str) -> None:
    outcome, announced = judge(left_in_float(op, after), "TOSA-1.0+INT+FP")
    assert announced == (set() if outcome in ("exact", "bounded") else {outcome})


def _taken_for_a_table(releases: str) -> pytest.MarkDecorator:
    """docs/lab-notes.md, "Ops left in float": DT503 takes an op in float for a table."""
    known = Target.parse("TOSA-1.0+INT").release_in(releases)
    return pytest.mark.xfail(known, reason="DT503 announces *wrong* as well", strict=True)


@pytest.mark.parametrize(
    "name",
    [
        "hardswish",
        pytest.param("hardsigmoid", marks=_taken_for_a_table("<1.3")),
        pytest.param("silu", marks=_taken_for_a_table("<1.5")),
    ],
)
def test_an_op_left_in_float_between_int16_codes_does_what_is_announced(name: str) -> None:
    graph = left_in_float(Op(f"aten.{name}.default"), "quantized", "int16")
    outcome, announced = judge(graph, "TOSA-1.0+INT+FP+int16")
    assert announced == (set() if outcome in ("exact", "bounded") else {outcome})


def test_the_position_shows_a_crash() -> None:
    """So that the comparison above is not one of ops that are all right."""
    outcome, announced = judge(left_in_float(OPS[0], "quantized"), "TOSA-1.0+INT+FP")
    assert (outcome, announced) == ("crash", {"crash"})
