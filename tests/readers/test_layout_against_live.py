"""The layout of inputs and outputs: of the live program, of its file and of its .pte, compared with the tensors."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")

from fuseguard.engine.interface import Interface, interface_of  # noqa: E402
from fuseguard.ir.pte import PteProgram  # noqa: E402
from fuseguard.readers.fx import read_program  # noqa: E402
from fuseguard.readers.lowered import read_lowered  # noqa: E402
from fuseguard.readers.pt2 import read_pt2  # noqa: E402


class Two(torch.nn.Module):  # type: ignore[misc, name-defined]
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:  # type: ignore[name-defined]
        return torch.relu(x), torch.relu(y), x.permute(0, 1, 3, 2)


@pytest.fixture(scope="module")
def program() -> torch.export.ExportedProgram:  # type: ignore[name-defined]
    x = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    batch = torch.export.Dim("batch", max=64)
    return torch.export.export(Two(), (x, torch.randn(2, 3)), dynamic_shapes=({0: batch}, None))


def layouts(interface: Interface) -> list[str]:
    return [value.layout for value in (*interface.inputs, *interface.outputs)]


def test_the_file_and_the_live_program_have_the_layout_of_the_tensors(
    program: torch.export.ExportedProgram,  # type: ignore[name-defined]
    tmp_path: Path,
) -> None:
    torch.export.save(program, tmp_path / "two.pt2")
    live = interface_of(read_program(program))
    assert layouts(live) == ["channels_last", "contiguous", "channels_last", "contiguous", "permuted"]
    assert interface_of(read_pt2(tmp_path / "two.pt2")) == live
    x = torch.empty(2, 3, 4, 5).to(memory_format=torch.channels_last)
    results = program.module()(x, torch.empty(2, 3))
    assert [value.dim_order for value in live.outputs] == [tuple(result.dim_order()) for result in results]


@pytest.mark.slow
def test_a_pte_has_the_dim_order_of_the_program(tmp_path: Path) -> None:
    exir = pytest.importorskip("executorch.exir")

    class One(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: torch.Tensor) -> torch.Tensor:  # type: ignore[name-defined]
            return x + x

    x = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    path = tmp_path / "one.pte"
    path.write_bytes(exir.to_edge(torch.export.export(One(), (x,))).to_executorch().buffer)
    found = read_lowered(path).program
    assert isinstance(found, PteProgram)
    [method] = found.methods
    assert [item.dim_order for item in (*method.inputs, *method.outputs)] == [(0, 2, 3, 1)] * 2
