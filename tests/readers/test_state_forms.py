"""A program with state in place, functionalized, saved to a file and in the edge dialect: one graph, one verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.torch
pytest.importorskip("torch")

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.export import ExportedProgram  # noqa: E402

import fuseguard  # noqa: E402
from fuseguard.executorch.copying import copy_program  # noqa: E402
from fuseguard.ir import Arg, Graph, Ref  # noqa: E402
from fuseguard.ir.view import View  # noqa: E402
from fuseguard.readers.fx import read_program  # noqa: E402
from fuseguard.readers.pt2 import read_pt2  # noqa: E402
from fuseguard_testkit import stateful  # noqa: E402


class Writes(nn.Module):
    """Subclasses write to ``state`` in ``forward``."""

    state: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("state", torch.zeros(8, 4))


class Rows(Writes):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.state[2:4] = x[2:4]
        return self.state * 2


class Column(Writes):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.state.select(1, 2).copy_(x[:, 0])
        return self.state.unbind(1)[2]


class ViewsOfViews(Writes):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.state.view(4, 8)[1:2].add_(x.view(4, 8)[1:2])
        turned = self.state.t()
        self.state.mul_(2.0)
        return turned + 1


class Overwritten(Writes):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.state.fill_(1.0)
        self.state.copy_(x)
        self.state.transpose(0, 1)[1].mul_(3.0)
        return self.state.copy_(x + 1), self.state.split(4)[1]


class Indexed(Writes):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = torch.arange(2)
        self.state.index_copy_(0, rows, x[:2])
        self.state[rows] = x[2:4]
        return torch.matmul(x, self.state.t())


class Temporary(Writes):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = x + 1
        y[2:3] = x[:1]
        z = self.state.clone()
        z.zero_()
        return y, z


class Input(Writes):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x.mul_(2.0)
        self.state.add_(x)
        return x[1:]


MODULES = (Rows, Column, ViewsOfViews, Overwritten, Indexed, Temporary, Input)


def functionalized(program: ExportedProgram) -> ExportedProgram:
    with torch.no_grad():
        return copy_program(program).run_decompositions({})


def live_structure(graph: Graph) -> tuple[Any, ...]:
    """The live part of a graph, as the nested calls that make its results, and what they are written to."""
    made: dict[str, Any] = {}

    def of(arg: Arg) -> Any:
        if isinstance(arg, Ref):
            return made[arg.name]
        return tuple(map(of, arg)) if isinstance(arg, tuple) else arg

    for node in graph:
        named = node.name if node.op == "placeholder" else node.target
        made[node.name] = (named, of(node.args), {key: of(arg) for key, arg in node.kwargs.items()}, node.outputs)
    (written,) = (node for node in graph if node.op == "output")
    return of(written.args), {name: made[value] for name, value in graph.mutations.items()}


@pytest.mark.parametrize("module", MODULES)
def test_in_place_ops_are_read_as_torch_functionalizes_them(module: type[nn.Module], tmp_path: Path) -> None:
    program = torch.export.export(module(), (torch.ones(8, 4),))
    path = tmp_path / "in_place.pt2"
    torch.export.save(program, path)
    functional = functionalized(program)
    other_path = tmp_path / "functional.pt2"
    torch.export.save(functional, other_path)
    wanted = live_structure(read_program(functional))
    assert live_structure(read_program(program)) == wanted
    assert live_structure(read_pt2(path)) == wanted
    assert live_structure(read_pt2(other_path)) == wanted
    assert read_pt2(path).functionalized
    assert not read_pt2(other_path).functionalized


def keys(graph: Graph, profile: str) -> list[tuple[str, tuple[str, ...]]]:
    report = fuseguard.check(graph, f"TOSA-1.0+{profile}", executorch="1.5.1")
    assert not report.failures
    view = View(graph)
    return [(found.code, tuple(view.key(graph[name]) for name in found.nodes)) for found in report.findings]


def edge(program: ExportedProgram) -> ExportedProgram:
    """With linear as it is, as the partitioner is shown it."""
    from executorch.exir import EdgeCompileConfig, to_edge

    config = EdgeCompileConfig(preserve_ops=[torch.ops.aten.linear.default], _check_ir_validity=False)
    with torch.no_grad():
        result: ExportedProgram = to_edge(copy_program(program), compile_config=config).exported_program()
    return result


@pytest.mark.parametrize("profile", ["INT", "INT+FP"])
@pytest.mark.parametrize("name", ["joined", *stateful.WAYS])
def test_every_form_has_the_same_findings(name: str, profile: str, tmp_path: Path) -> None:
    pytest.importorskip("executorch")
    program, _ = stateful.with_image(stateful.Joined()) if name == "joined" else stateful.cache(name)
    path = tmp_path / "program.pt2"
    torch.export.save(program, path)
    graphs = {
        "in place": read_program(program),
        "functional": read_program(functionalized(program)),
        "file": read_pt2(path),
        "edge": read_program(edge(program)),
    }
    anchor = "conv" if name == "joined" else "linear"
    for form, graph in graphs.items():
        assert keys(graph, profile) == [("FU101", (f"/:{anchor}#0", "/:relu#0"))], form
