"""An op on the CPU divides a delegate, whether the backend leaves it there or the guard refuses it.

Protects: a constant of the shape of an input, in a delegate that has no other use for the input (OP713). Found by the
campaign: the guard refused one op, which broke what was right before.
"""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")

import torch  # noqa: E402

import fuseguard  # noqa: E402
from fuseguard.executorch import prove  # noqa: E402
from fuseguard_testkit.quantizing import quantize  # noqa: E402

X = (torch.randn(1, 4, 6, generator=torch.Generator().manual_seed(0)),)


class Refused(torch.nn.Module):
    """OP712 refuses the sum, a view to rank 0. Then the constant is in a delegate after it, and x in one before it."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        value = torch.relu(x - 0.25)
        return value, value.sum(), torch.full_like(x, 0.5)


class LeftThere(torch.nn.Module):
    """The backend has no sort. What reads x is before it, and the constant after it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sort(torch.relu(x)).values + torch.ones_like(x)


@pytest.mark.parametrize("target", ["TOSA-1.0+INT", "TOSA-1.0+INT+FP"])
@pytest.mark.parametrize("model", [Refused, LeftThere])
def test_the_guarded_program_is_right(model: type[torch.nn.Module], target: str) -> None:
    program = quantize(model().eval(), X, target)
    assert prove(program, X, target, checks="guard").outcome == "exact"


@pytest.mark.parametrize("target", ["TOSA-1.0+INT", "TOSA-1.0+INT+FP"])
def test_what_the_backend_divides_is_announced(target: str) -> None:
    """1.2 leaves the constant on the CPU without float support, and the finding says so."""
    program = quantize(LeftThere().eval(), X, target)
    found = [item for item in fuseguard.check(program, target=target).findings if item.code == "OP713"]
    assert [item.effect.value for item in found] == [prove(program, X, target).outcome]
