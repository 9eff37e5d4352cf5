"""Bodies under torch.autocast and torch.no_grad: program, file and judge see their ops as the backend does."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.torch
pytest.importorskip("executorch")

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.export import ExportedProgram  # noqa: E402

from fuseguard.executorch import prove, repair  # noqa: E402
from fuseguard.executorch.state import functional_program, run_module  # noqa: E402
from fuseguard.ir import Graph  # noqa: E402
from fuseguard.readers.fx import read_program  # noqa: E402
from fuseguard.readers.pt2 import read_pt2  # noqa: E402
from fuseguard_testkit.quantizing import quantize  # noqa: E402

INPUTS = (torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(1)),)


class Wrapped(nn.Module):
    """Two convolutions; what lies between them is in a body of its own. The quantizer leaves it in float."""

    def __init__(self, grad: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        self.grad = grad

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        if self.grad:
            with torch.no_grad():
                return self.second(torch.sigmoid(y) * y)
        with torch.autocast("cpu", enabled=False):
            z = y.float()
            z = (torch.sigmoid(z) * z).to(y.dtype)
        return self.second(z)


@pytest.fixture(params=[False, True], ids=["autocast", "no_grad"])
def program(request: pytest.FixtureRequest) -> ExportedProgram:
    return quantize(Wrapped(request.param), INPUTS)


def computing(graph: Graph) -> list[str]:
    ignored = ("quantize", "_assert_tensor_metadata")
    return [node.target for node in graph if node.op == "call" and not any(word in node.target for word in ignored)]


def test_all_readers_open_the_body(program: ExportedProgram, tmp_path: Path) -> None:
    torch.export.save(program, tmp_path / "wrapped.pt2")
    graphs = [read_program(program), read_pt2(tmp_path / "wrapped.pt2"), read_program(functional_program(program))]
    for graph in graphs:
        assert list(graph.nodes) == list(graphs[0].nodes)
        assert not graph.subgraphs
        assert computing(graph) == [
            "aten.conv2d.default", "aten.sigmoid.default", "aten.mul.Tensor", "aten.conv2d.default",
        ]  # fmt: skip
        sigmoid = next(node for node in graph if node.kind == "sigmoid")
        assert [node.kind for node in graph.inputs(sigmoid)] == ["dequantize"]


def test_opening_a_body_changes_no_result(program: ExportedProgram) -> None:
    opened = functional_program(program)
    opened.validate()  # type: ignore[no-untyped-call]
    (expected,) = run_module(program, INPUTS)
    for other in (opened, repair(program, "TOSA-1.0+INT+FP").program):
        assert torch.equal(run_module(other, INPUTS)[0], expected)


@pytest.mark.slow
def test_the_judge_has_cells_for_what_is_in_a_body(program: ExportedProgram) -> None:
    pytest.importorskip("tosa_reference_model")
    proof = prove(program, INPUTS, locate=True)
    assert proof.outcome == "exact"
    assert [cell.status for cell in proof.cells] == ["exact"] * len(proof.cells)
    assert any(cell.ops and "sigmoid" in cell.ops[0] for cell in proof.cells)


@pytest.mark.slow
def test_a_check_of_metadata_does_not_stop_the_search_for_cells() -> None:
    """torch.export writes one for ``.float()``. Decomposition states its dtype by position; in float64, it raises."""
    pytest.importorskip("tosa_reference_model")

    class Cast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.conv = nn.Conv2d(4, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sigmoid(self.conv(x).float())

    program = quantize(Cast(), INPUTS).run_decompositions({})
    assert any("_assert_tensor_metadata" in str(node.target) for node in program.graph.nodes)
    proof = prove(program, INPUTS, locate=True)
    assert proof.cells
    assert proof.outcome == "exact"
