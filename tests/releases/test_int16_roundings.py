"""16-bit roundings are told from faults, however the program amplifies them.

Protects: right lowerings that were called wrong: a sum of products whose roundings all err to one side, an average,
and a float output behind int16 codes.
"""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]

pytest.importorskip("executorch")
pytest.importorskip("tosa_reference_model")

import torch  # noqa: E402

from fuseguard.executorch import prove  # noqa: E402
from fuseguard.executorch.quantizing import quantize  # noqa: E402


class SumOfSquares(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x * x).sum(1, keepdim=True)


class Average(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(x, 2)


class FloatTail(torch.nn.Module):
    """The last op is left in float."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.tail = torch.nn.Conv2d(4, 4, 3), torch.nn.Softplus()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.tail(self.conv(x))


@pytest.mark.parametrize(
    ("module", "unquantized"), [(SumOfSquares(), ()), (Average(), ()), (FloatTail(), ("tail",))]
)
def test_roundings_are_bounded(module: torch.nn.Module, unquantized: tuple[str, ...]) -> None:
    torch.manual_seed(1)
    x = torch.randn(2, 4, 8, 8)
    spec = "TOSA-1.0+INT+int16"
    proof = prove(quantize(module, (x,), spec, "a16w8", unquantized), (x,), spec)
    assert proof.delegated_ops
    assert proof.ok, proof
