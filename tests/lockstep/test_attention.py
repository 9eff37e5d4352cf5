"""An attention in A16W8: the comparison end to end passes it as bounded, and a cell shows a table that is wrong.

The softmax averages what its exp loses, and the comparison allows for the roundings of all ops before a result.
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
    """One head with a causal mask of 0 and -64, so that the table of exp spans 64 and bends within two entries."""

    mask: torch.Tensor

    def __init__(self, width: int = 16, length: int = 8) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.register_buffer("mask", torch.where(torch.ones(length, length).tril() > 0, 0.0, -64.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = self.query(x) @ self.key(x).transpose(-1, -2) / 4.0 + self.mask
        return torch.softmax(scores, -1) @ self.value(x)


@pytest.fixture(scope="module")
def program() -> ExportedProgram:
    return quantize(Attention(), INPUTS, SPEC, "a16w8")


@pytest.fixture(scope="module")
def unguarded(program: ExportedProgram) -> Proof:
    return prove(program, INPUTS, SPEC, locate=True)


def test_it_is_wrong_at_the_table_that_dt503_names(program: ExportedProgram, unguarded: Proof) -> None:
    findings = run(read_program(program), Target.parse(SPEC), load_registry().rules).findings
    named = {node for finding in findings if finding.code == "DT503" for node in finding.nodes}
    assert named
    assert unguarded.outcome == "wrong"
    assert {cell.ops for cell in unguarded.wrong_cells if cell.certain} == {(node,) for node in named}
    assert all("DT503" in cell.findings for cell in unguarded.wrong_cells)


def test_the_comparison_end_to_end_passes_it(unguarded: Proof) -> None:
    assert (unguarded.end_to_end, unguarded.judges_disagree) == ("bounded", True)
    assert (unguarded.max_error_steps or 0) > 4
    assert unguarded.sqnr_db > 40
    assert "end to end  bounded, which is too lenient" in plain(render(unguarded, "m.pt2", ["random"]))


def test_guarded_it_is_bounded_cell_by_cell(program: ExportedProgram) -> None:
    proof = prove(program, INPUTS, SPEC, checks="guard", locate=True)
    assert (proof.outcome, proof.wrong_cells) == ("bounded", ())
    assert proof.bounded_cells
    rounded = [cell for cell in proof.bounded_cells if cell.status == "rounded"]
    assert rounded
    assert all(cell.steps <= cell.bound or cell.joined for cell in rounded), rounded
