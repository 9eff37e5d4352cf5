"""The judge where it decides by itself: rounding ties, and programs whose difference no tie explains."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")
pytest.importorskip("tosa_reference_model")

import torch  # noqa: E402
from torch.export import ExportedProgram  # noqa: E402
from torch.fx.passes.operator_support import OperatorSupportBase  # noqa: E402

from fuseguard.executorch import prove  # noqa: E402
from fuseguard.executorch.comparing import differing_elements  # noqa: E402
from fuseguard.executorch.explaining import _explained  # noqa: E402
from fuseguard.executorch.float64 import TIE, run_exactly  # noqa: E402
from fuseguard.executorch.lowering import Lowered  # noqa: E402
from fuseguard.executorch.materialize import materialize  # noqa: E402
from fuseguard.executorch.outputs import largest_difference, output_grids, run_eager  # noqa: E402
from fuseguard.ir.builder import GraphBuilder, int8, int16  # noqa: E402
from fuseguard.target import Target  # noqa: E402

TARGET = "TOSA-1.0+INT+FP"
OPERANDS = {"x": int8(0.0637, 30), "y": int8(0.0393, -7)}


@pytest.fixture(scope="module")
def pooled() -> tuple[ExportedProgram, tuple[torch.Tensor, ...]]:
    """A pool over four codes, requantized twice: ties in the pool, and ties in the step from 0.05 to 0.02."""
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 4, 8, 8), int8(0.0487, 3))
    value = b.call("aten.avg_pool2d.default", x, (2, 2), (2, 2), shape=(1, 4, 4, 4))
    for qparams in (int8(0.0487, 3), int8(0.05, 7), int8(0.02, 3)):
        value = b.requantize(value, qparams)
    return materialize(b.output(value))


def test_ties_on_the_way_of_one_element_may_be_broken_differently(
    pooled: tuple[ExportedProgram, tuple[torch.Tensor, ...]],
) -> None:
    """AVG_POOL2D and RESCALE do not agree on which way a tie goes. All up or all down explains neither."""
    proof = prove(*pooled, TARGET)
    assert proof.outcome == "exact", proof
    assert proof.rounding_ties


def test_one_step_off_is_no_tie(pooled: tuple[ExportedProgram, tuple[torch.Tensor, ...]]) -> None:
    program, inputs = pooled
    (right,) = run_eager(program, inputs)
    grids = output_grids(program, Target.parse(TARGET))
    differing = torch.zeros_like(right, dtype=torch.bool)
    differing.view(-1)[5] = True
    lowered = Lowered(program, (), (), 0)
    assert _explained([differing], program, inputs, (right,), grids, lowered)
    # The codes between the reachable ones: from 0.05 to 0.02 every other code is left out.
    off = torch.where(differing, right + 0.02, right)
    assert not _explained([differing], program, inputs, (off,), grids, lowered)


def test_an_element_may_move_in_few_of_the_tries() -> None:
    """The search ended after 8 tries if an element had not moved until then, and called an LR-ASPP wrong (kind 18).

    A maximum over values at a tie goes down only if all of them do, and the difference of two such maxima is another
    one only if one of the two does. Ties that are broken alike do not move it.
    """
    b = GraphBuilder()
    qparams = int8(0.0487, 3)
    maxima = []
    for name in ("x", "y"):
        x = b.quantized_input(name, (1, 64, 4, 4), qparams)
        pooled = b.requantize(b.call("aten.avg_pool2d.default", x, (2, 2), (2, 2), shape=(1, 64, 2, 2)), qparams)
        maxima.append(b.requantize(b.call("aten.amax.default", pooled, (2, 3), True, shape=(1, 64, 1, 1)), qparams))
    program, _ = materialize(b.output(b.requantize(b.call("aten.sub.Tensor", *maxima), qparams)))
    # Windows of 0, 1, 0, 1 codes: every average is a half.
    codes = torch.tensor([0.0, 1.0]).repeat(1, 64, 4, 2)
    inputs = (codes * qparams.scale, codes * qparams.scale)
    grids = output_grids(program, Target.parse(TARGET))
    usual = run_eager(program, inputs)
    broken = run_exactly(program, inputs, nudge=TIE, scattered=20)
    differing = differing_elements(broken, usual, grids)
    ways = [{}, {"nudge": TIE}, {"nudge": -TIE}, *({"nudge": TIE, "scattered": seed} for seed in range(5))]
    tries = [run_exactly(program, inputs, **way)[0] for way in ways]  # type: ignore[arg-type]
    moved = torch.stack([one != tries[0] for one in tries]).any(0)
    assert bool((differing[0] & ~moved).any()), "an element that has not moved after the first tries"
    assert _explained(differing, program, inputs, broken, grids, Lowered(program, (), (), 0))


def test_a_delegate_breaks_the_ties_of_floats_away_from_zero() -> None:
    """It quantizes its float inputs itself, in float32; a convolution after it makes several steps of these ties.

    Neither all up nor all down explains them, and at random they seldom come out that way together.
    """
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 8, 6, 6), int8(0.09010361135005951, -14))
    weight = b.quantized_constant("weight", (8, 8, 3, 3), 0.00031)
    value = b.call("aten.conv2d.default", x, weight, None, (1, 1), (1, 1), shape=(1, 8, 6, 6))
    program, _ = materialize(b.output(b.requantize(value, int8(0.0142977, 14))))
    codes = torch.randint(-100, 100, (1, 8, 6, 6), generator=torch.Generator().manual_seed(0))
    proof = prove(program, (codes * 0.045051805675029755,), TARGET)
    assert proof.outcome == "exact", proof
    assert proof.rounding_ties


class Refused(OperatorSupportBase):
    """Keeps one node on the CPU."""

    def __init__(self, name: str) -> None:
        self.name = name

    def is_node_supported(self, submodules: object, node: torch.fx.Node) -> bool:
        return node.name != self.name


def test_what_is_left_on_the_cpu_is_computed_there() -> None:
    """``bounded`` lets maximum round its operands first, where a delegate does; both outputs must come out so."""
    b = GraphBuilder()
    codes = [(b.quantize(b.input(name, (1, 4, 8, 8)), qparams), qparams) for name, qparams in OPERANDS.items()]
    results = []
    for scale in (0.0599, 0.0213):
        value = b.call("aten.maximum.default", *(b.dequantize(code, qparams) for code, qparams in codes))
        results.append(b.requantize(value, int8(scale, 3)))
    results[1] = b.requantize(b.call("aten.abs.default", results[1]), int8(0.0213, 3))
    program, inputs = materialize(b.output(*results))
    assert prove(program, inputs, TARGET).outcome == "wrong"  # QD201
    proof = prove(program, inputs, TARGET, checks=[Refused("aten_maximum_default_1")])
    assert proof.outcome == "bounded", proof
    assert "aten.maximum.default" in proof.cpu_ops


def test_floats_are_quantized_in_float32_with_ties_of_its_own() -> None:
    """x / scale next to a half is a half in float32, which the backend rounds up and torch to even.

    In float64 it is no tie; of the codes of int16 it is one of a few hundred floats.
    """
    qparams, shape = int16(0.0012201443314552307), (1, 4, 8, 8)
    b = GraphBuilder()
    value = b.call("aten.permute.default", b.quantized_input("x", shape, qparams), (0, 1, 3, 2))
    program, _ = materialize(b.output(b.requantize(value, qparams)))
    near = (torch.arange(17000, 27000, dtype=torch.float64) + 0.5) * qparams.scale
    close = near.to(torch.float32)
    found = [torch.nextafter(close, torch.tensor(side)) for side in (0.0, 1e9)]
    halves = torch.cat([close, *found])
    scaled = halves * (1.0 / qparams.scale)
    exact = halves.to(torch.float64) / qparams.scale
    ties = halves[(scaled.frac() == 0.5) & ((exact.frac() - 0.5).abs() > 1e-4)][:256].reshape(shape)
    proof = prove(program, (ties,), f"{TARGET}+int16")
    assert proof.outcome == "exact", proof
    assert proof.rounding_ties

    (right,) = proof.outputs
    everywhere, lowered = [torch.ones_like(right, dtype=torch.bool)], Lowered(program, (), (), 0)
    grids = output_grids(program, Target.parse(f"{TARGET}+int16"))
    assert not _explained(everywhere, program, (ties,), (right + qparams.scale,), grids, lowered), "no tie"


def test_a_difference_is_no_number_where_one_side_is_nan() -> None:
    """Ignored, it would make a wrong repair exact."""

    class Scaled(torch.nn.Module):
        def __init__(self, scale: float) -> None:
            super().__init__()
            self.scale = scale

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.scale

    inputs = (torch.ones(3),)
    ones, nans, twos = (torch.export.export(Scaled(scale), inputs) for scale in (1.0, float("nan"), 2.0))
    assert largest_difference(ones, ones, inputs) == 0
    assert largest_difference(nans, nans, inputs) == 0
    assert largest_difference(ones, twos, inputs) == 1
    assert largest_difference(ones, nans, inputs) == float("inf")
