"""16-bit roundings are told from faults, however the program amplifies them.

Protects: right lowerings that were called wrong: a sum of products whose roundings all err to one side, an average,
a float output after int16 codes, and codes of what an op left in float computes, next to a tie.
"""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]

pytest.importorskip("executorch")
pytest.importorskip("tosa_reference_model")

import torch  # noqa: E402

from fuseguard.executorch import prove  # noqa: E402
from fuseguard.executorch.float64 import TIE, run_exactly  # noqa: E402
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


@pytest.mark.parametrize(("module", "unquantized"), [(SumOfSquares(), ()), (Average(), ()), (FloatTail(), ("tail",))])
def test_roundings_are_bounded(module: torch.nn.Module, unquantized: tuple[str, ...]) -> None:
    torch.manual_seed(1)
    x = torch.randn(2, 4, 8, 8)
    spec = "TOSA-1.0+INT+int16"
    proof = prove(quantize(module, (x,), spec, "a16w8", unquantized), (x,), spec)
    assert proof.delegated_ops
    assert proof.ok, proof


OPS = torch.ops.quantized_decomposed


class Scaled(torch.nn.Module):
    """A product that is quantized in steps of one."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        codes = OPS.quantize_per_tensor(x * 1.0, 1.0, 0, -32768, 32767, torch.int16)
        return OPS.dequantize_per_tensor(codes, 1.0, 0, -32768, 32767, torch.int16)


@pytest.mark.parametrize("annotated", [False, True])
def test_the_last_bit_of_an_op_left_in_float_may_break_a_tie(annotated: bool) -> None:
    """Program 995 of the campaign's seed 5: a batch_norm in float, half a code but for 0.001 of a step."""
    x = torch.tensor([14910.4990, 14910.49, -14910.4990, 3.4999])
    program = torch.export.export(Scaled(), (x,))
    for node in program.graph.nodes:
        if "mul" in str(node.target) and annotated:
            node.meta["custom"] = {"_arm_annotation_info": {"quantized": True}}
    up, down = (run_exactly(program, (x,), nudge)[0].tolist() for nudge in (TIE, -TIE))
    assert up == [14910.0 if annotated else 14911.0, 14910.0, -14910.0, 3.0]
    assert down == [14910.0, 14910.0, -14910.0 if annotated else -14911.0, 3.0]
