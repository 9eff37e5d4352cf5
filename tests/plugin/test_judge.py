"""The judge where it decides by itself: rounding ties, and programs whose difference no tie explains."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")
pytest.importorskip("tosa_reference_model")

import torch  # noqa: E402
from torch.export import ExportedProgram  # noqa: E402

from fuseguard.executorch import prove  # noqa: E402
from fuseguard.executorch.judge import _explained  # noqa: E402
from fuseguard.executorch.materialize import materialize  # noqa: E402
from fuseguard.executorch.outputs import largest_difference, output_grids, run_eager  # noqa: E402
from fuseguard.ir.builder import GraphBuilder, int8, int16  # noqa: E402
from fuseguard.target import Target  # noqa: E402

TARGET = "TOSA-1.0+INT+FP"


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
    assert _explained([differing], program, inputs, (right,), grids)
    # The codes between the reachable ones: from 0.05 to 0.02 every other code is left out.
    off = torch.where(differing, right + 0.02, right)
    assert not _explained([differing], program, inputs, (off,), grids)


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
    everywhere = [torch.ones_like(right, dtype=torch.bool)]
    grids = output_grids(program, Target.parse(f"{TARGET}+int16"))
    assert not _explained(everywhere, program, (ties,), (right + qparams.scale,), grids), "one step more is no tie"


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
