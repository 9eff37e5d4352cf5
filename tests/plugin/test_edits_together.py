"""Edits of one round may be about a node that another edit of it leaves without a reader, in whatever order they come.

Found by hypothesis: a rewrite replaced a constant-valued op and erased what only that op read. A second rewrite of the
round named one of the erased nodes.
"""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")

import torch  # noqa: E402
from torch.export import ExportedProgram  # noqa: E402

from fuseguard.engine import Fold, Insert, MakeConstant, Pair, Rewrite  # noqa: E402
from fuseguard.executorch.outputs import run_eager  # noqa: E402
from fuseguard.executorch.rewriting import apply_rewrites  # noqa: E402
from fuseguard.ir.builder import int8  # noqa: E402

INPUT = torch.tensor([[1.0, -2.0]])
INSERT = Rewrite((Insert("neg", ("full_like",), (Pair(int8(0.1, 0)),)),))
CONSTANT = Rewrite((MakeConstant("full_like", "aten.full.default", ((1, 2), 3.0), "float32"),))


class Filled(torch.nn.Module):
    """The op full_like is all that reads neg."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return torch.full_like(-input, 3.0) + input


class Weighted(torch.nn.Module):
    """Both constants are read by the quantize op alone, directly or through neg."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.tensor([[0.5, -0.25]]))

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        codes = torch.ops.quantized_decomposed.quantize_per_tensor(-self.weight, 0.25, 0, -128, 127, torch.int8)
        return input + torch.ops.quantized_decomposed.dequantize_per_tensor(codes, 0.25, 0, -128, 127, torch.int8)


@pytest.mark.parametrize("rewrites", [(CONSTANT, INSERT), (INSERT, CONSTANT)], ids=["constant-first", "insert-first"])
def test_an_edit_may_name_what_another_edit_leaves_unread(rewrites: tuple[Rewrite, ...]) -> None:
    program = torch.export.export(Filled(), (INPUT,))
    apply_rewrites(program, rewrites)
    assert called(program) == ["full", "add"]
    assert run_eager(program, (INPUT,))[0].tolist() == [[4.0, 1.0]]


@pytest.mark.parametrize("first", [True, False])
def test_what_a_fold_leaves_unread_goes_after_the_other_edits(first: bool) -> None:
    program = torch.export.export(Weighted(), (INPUT,))
    quantize = next(node for node in program.graph.nodes if "quantize_per_tensor" in str(node.target))
    fold = Rewrite((Fold(quantize.name, ("neg", "b_weight")),))
    insert = Rewrite((Insert("neg", (quantize.name,), (Pair(int8(0.25, 0)),)),))
    apply_rewrites(program, (fold, insert) if first else (insert, fold))
    assert called(program) == ["dequantize_per_tensor", "add"]
    assert list(program.state_dict) == [f"{quantize.name}_folded"]
    assert run_eager(program, (INPUT,))[0].tolist() == [[0.5, -1.75]]


def called(program: ExportedProgram) -> list[str]:
    calls = [node.target for node in program.graph.nodes if node.op == "call_function"]
    return [str(target).split(".")[-2] for target in calls]
