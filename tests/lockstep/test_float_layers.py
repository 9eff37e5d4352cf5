"""What quantizing loses and what lowering loses are told apart, layer by layer."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")
pytest.importorskip("tosa_reference_model")

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.export import ExportedProgram, export  # noqa: E402

from fuseguard.executorch import Proof, prove  # noqa: E402
from fuseguard.executorch.inputs import InputsError  # noqa: E402
from fuseguard.target import Target  # noqa: E402
from fuseguard_testkit.quantizing import quantize  # noqa: E402

INT = "TOSA-1.0+INT"
INPUTS = (torch.randn(1, 3, 6, 6, generator=torch.Generator().manual_seed(0)),)


class Model(nn.Module):
    """Two convolutions in modules of their own, one with a batch norm; a relu into a cat (FU101); and a softmax."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.second = nn.Conv2d(4, 4, 3)
        norm: nn.Module = self.first[1]
        norm.running_mean = torch.tensor([0.5, -0.5, 1.0, 0.0])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value = torch.relu(self.first(x))
        return torch.softmax(self.second(torch.cat([value[:, :2], x[:, :2]], 1)), 1)


def floats() -> ExportedProgram:
    return export(Model().eval(), INPUTS)


@pytest.fixture(scope="module")
def proof() -> Proof:
    return prove(quantize(Model(), INPUTS, INT), INPUTS, INT, float_program=floats())


def test_layers_have_partners_in_the_float_program(proof: Proof) -> None:
    partners = {cell.value: cell.float_node for cell in proof.cells}
    assert partners["quantize_per_tensor"] == "x"
    assert {"relu", "cat", "conv2d_1"} <= set(partners.values())
    assert partners["output 0"] == "softmax"
    unfound = [cell.ops for cell in proof.cells if not cell.float_node]
    assert unfound, "Arm's quantizer decomposes a softmax"
    assert all(ops and ops[-1] not in ("relu", "cat", "conv2d_1") for ops in unfound)


def test_what_quantizing_loses_is_no_fault_of_lowering(proof: Proof) -> None:
    relu = next(cell for cell in proof.cells if cell.float_node == "relu")
    assert 20 < (relu.quantization_sqnr_db or 0) < 60, "int8 is about 40 dB; the folded batch norm is compared"
    if Target.parse(INT).release_in(">=1.5"):
        assert relu.status == "wrong"
        assert (relu.sqnr_db or 0) < 10
        assert (relu.float_sqnr_db or 0) < 10
    else:
        assert relu.float_sqnr_db == pytest.approx(relu.quantization_sqnr_db, abs=1)


def test_a_float_program_with_other_inputs_is_refused() -> None:
    class Other(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return x + y

    program = quantize(nn.Sequential(nn.Conv2d(3, 4, 3)), INPUTS, INT)
    with pytest.raises(InputsError, match="takes 2"):
        prove(program, INPUTS, INT, float_program=export(Other(), (*INPUTS, *INPUTS)))
