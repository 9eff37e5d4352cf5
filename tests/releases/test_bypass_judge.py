"""The judge computes what ops in int32 hand to one another past a quantize op, and calls nothing else ``bounded``.

Protects: OP706's note, which is true only because the judge works out the saturation that is skipped.
"""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.torch

pytest.importorskip("executorch")

import torch  # noqa: E402

from fuseguard.executorch import float64  # noqa: E402
from fuseguard.executorch.float64 import run_exactly  # noqa: E402
from fuseguard.executorch.materialize import materialize  # noqa: E402
from fuseguard.executorch.outputs import run_eager  # noqa: E402
from fuseguard.ir import Graph  # noqa: E402
from fuseguard.ir.builder import GraphBuilder, int8  # noqa: E402
from fuseguard.target import Target  # noqa: E402

WIDE, NARROW = int8(0.05), int8(0.01)
#: Saturates between the additions, at 1.27, and after them, at 12.7.
INPUTS = tuple(torch.full((1, 4), value) for value in (1.0, 2.0, 0.5))

needs_the_pass = pytest.mark.skipif(
    Target.parse("TOSA-1.0+INT").release_in("<1.3"), reason="FuseConsecutiveRescalesPass came with 1.3"
)


def two_additions(other: float) -> Graph:
    b = GraphBuilder()
    x, y = (b.quantized_input(name, (1, 4), WIDE) for name in "xy")
    value = b.requantize(b.call("aten.add.Tensor", x, y), NARROW)
    return b.output(
        b.requantize(b.call("aten.add.Tensor", value, b.quantized_input("z", (1, 4), int8(other))), int8(0.1))
    )


@needs_the_pass
def test_the_sum_between_is_neither_rounded_nor_saturated() -> None:
    program, _ = materialize(two_additions(WIDE.scale))
    (eager,) = run_eager(program, INPUTS)
    (exact,) = run_exactly(program, INPUTS)
    (snapped,) = run_exactly(program, INPUTS, snapped=True)
    torch.testing.assert_close(eager, torch.full((1, 4), 1.8))
    torch.testing.assert_close(exact.float(), eager)
    torch.testing.assert_close(snapped.float(), torch.full((1, 4), 3.5))


def test_where_the_scales_do_not_cancel_out_it_is() -> None:
    program, _ = materialize(two_additions(0.07))
    torch.testing.assert_close(run_exactly(program, INPUTS, snapped=True), run_exactly(program, INPUTS))


@needs_the_pass
def test_without_bypasses_there_is_no_other_variant(monkeypatch: pytest.MonkeyPatch) -> None:
    """That the first test can fail."""
    monkeypatch.setattr(float64, "bypasses", lambda view, target: [])
    program, _ = materialize(two_additions(WIDE.scale))
    torch.testing.assert_close(run_exactly(program, INPUTS, snapped=True), run_exactly(program, INPUTS))
