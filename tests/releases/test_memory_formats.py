"""Channels-last programs are judged as the runtime hands them over: a delegate reads memory, not strides.

Protects: a judge that compares tensors in different layouts and calls a right lowering wrong, as it did on Arm's own
test_dim_order.py.
"""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]

pytest.importorskip("executorch")
pytest.importorskip("tosa_reference_model")

import torch  # noqa: E402

from fuseguard.executorch import prove  # noqa: E402
from fuseguard.executorch.quantizing import quantize  # noqa: E402

LAST = torch.channels_last


class FirstOutput(torch.nn.Module):
    """Channels last in, channels first out."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.clone(memory_format=torch.contiguous_format) * x


class LastOutput(torch.nn.Module):
    """Channels first in, channels last out."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x * x).clone(memory_format=LAST)


class Pooled(torch.nn.Module):
    """Channels last throughout, through ops that care for which dimension is which."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv2d(3, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(self.conv(x), (2, 1))


@pytest.mark.parametrize(
    ("module", "last"), [(FirstOutput(), True), (LastOutput(), False), (Pooled(), True), (Pooled(), False)]
)
def test_a_right_lowering_is_exact_in_any_layout(module: torch.nn.Module, last: bool) -> None:
    torch.manual_seed(1)
    x = torch.randn(1, 3, 7, 5)
    inputs = (x.to(memory_format=LAST) if last else x,)
    proof = prove(quantize(module.eval(), inputs), inputs, "TOSA-1.0+INT")
    assert proof.delegated_ops
    assert proof.outcome == "exact", proof
