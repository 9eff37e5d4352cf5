"""The judge steps into the bodies of control flow, in float64 too.

Protects: verdicts on programs with cond, which were "not judged" where a value lay near a rounding tie.
"""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]

pytest.importorskip("executorch")

import torch  # noqa: E402

from fuseguard.executorch.outputs import run_eager, run_exactly  # noqa: E402


class Branches(torch.nn.Module):
    """A convolution in each branch, since float32 and float64 meet in its weights."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = (torch.nn.Conv1d(2, 4, 3, padding=1) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cond(x.sum() > 0, lambda x: self.first(x), lambda x: self.second(x), (x,))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_both_branches_run_in_float64(sign: float) -> None:
    x = sign * torch.rand(1, 2, 8)
    program = torch.export.export(Branches().eval(), (x,))
    (exact,) = run_exactly(program, (x,))
    assert exact.dtype == torch.float64
    torch.testing.assert_close(exact.to(torch.float32), run_eager(program, (x,))[0])
