"""An attention in A16W8: the comparison end to end passes it as bounded, its cells show two tables that are wrong.

What a table loses is amplified by what follows, and so is what the comparison allows for int16 roundings.
"""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")
pytest.importorskip("tosa_reference_model")

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.export import ExportedProgram  # noqa: E402

from fuseguard.engine import load_registry  # noqa: E402
from fuseguard.engine.run import run  # noqa: E402
from fuseguard.executorch import Proof, prove  # noqa: E402
from fuseguard.readers.fx import read_program  # noqa: E402
from fuseguard.report.lines import plain  # noqa: E402
from fuseguard.report.proof import render  # noqa: E402
from fuseguard.target import Target  # noqa: E402
from fuseguard_testkit.quantizing import quantize  # noqa: E402

SPEC = "TOSA-1.0+INT+int16"
INPUTS = (torch.randn(1, 8, 16, generator=torch.Generator().manual_seed(1)),)


class Attention(nn.Module):
    """A layer norm and one head with a causal mask of 0 and -255."""

    mask: torch.Tensor

    def __init__(self, width: int = 16, length: int = 8) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.norm = nn.LayerNorm(width)
        self.register_buffer("mask", torch.where(torch.ones(length, length).tril() > 0, 0.0, -255.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(x)
        scores = self.query(y) @ self.key(y).transpose(-1, -2) / 4.0 + self.mask
        result: torch.Tensor = self.out(torch.softmax(scores, -1) @ self.value(y))
        return result


@pytest.fixture(scope="module")
def program() -> ExportedProgram:
    return quantize(Attention(), INPUTS, SPEC, "a16w8")


@pytest.fixture(scope="module")
def unguarded(program: ExportedProgram) -> Proof:
    return prove(program, INPUTS, SPEC, locate=True)


def test_it_is_wrong_at_the_tables_that_dt503_names(program: ExportedProgram, unguarded: Proof) -> None:
    findings = run(read_program(program), Target.parse(SPEC), load_registry().rules).findings
    named = {node for finding in findings if finding.code == "DT503" for node in finding.nodes}
    assert named
    assert unguarded.outcome == "wrong"
    assert {cell.ops[-1] for cell in unguarded.wrong_cells if cell.certain} == named
    assert all("DT503" in cell.findings for cell in unguarded.wrong_cells)


def test_the_comparison_end_to_end_passes_it(unguarded: Proof) -> None:
    assert (unguarded.end_to_end, unguarded.judges_disagree) == ("bounded", True)
    assert (unguarded.max_error_steps or 0) > 100, "the tolerance is that wide"
    assert "end to end  bounded, which is too lenient" in plain(render(unguarded, "m.pt2", ["random"]))


def test_guarded_it_is_bounded_cell_by_cell(program: ExportedProgram) -> None:
    proof = prove(program, INPUTS, SPEC, checks="guard", locate=True)
    assert (proof.outcome, proof.wrong_cells) == ("bounded", ())
    assert proof.bounded_cells
    assert all(cell.steps <= cell.bound or cell.joined for cell in proof.bounded_cells), proof.bounded_cells
