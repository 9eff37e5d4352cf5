"""The tensors of a delegate are seen as the reference model computes them, and the delegate yields what it did."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")
pytest.importorskip("tosa_reference_model")

import networkx as nx  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402

from fuseguard.executorch.delegates import run_edge_program  # noqa: E402
from fuseguard.executorch.lockstep.observing import observe  # noqa: E402
from fuseguard.executorch.lockstep.tosa_graph import CONSTANTS, read_tosa, with_outputs  # noqa: E402
from fuseguard.executorch.lowering import Lowered, compile_spec_for, lower_to_edge  # noqa: E402
from fuseguard.target import Target  # noqa: E402
from fuseguard_testkit.quantizing import quantize  # noqa: E402

INPUTS = (torch.randn(1, 3, 6, 6, generator=torch.Generator().manual_seed(0)),)


class Model(nn.Module):
    """Two results, one of them in the middle."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        value = self.conv(x)
        return torch.sigmoid(value), value


@pytest.fixture(scope="module")
def lowered() -> Lowered:
    spec = compile_spec_for(Target.parse("TOSA-1.0+INT"))
    return lower_to_edge(quantize(Model(), INPUTS, "TOSA-1.0+INT"), spec)


def _delegate(lowered: Lowered) -> bytes:
    (module,) = (item for _, item in lowered.program.graph_module.named_children() if hasattr(item, "processed_bytes"))
    return bytes(module.processed_bytes)


def test_outputs_are_added_and_nothing_else_changes(lowered: Lowered) -> None:
    serialized = _delegate(lowered)
    before = read_tosa(serialized)
    names = (*before.outputs, *(output for op in before.ops if op.name not in CONSTANTS for output in op.outputs))
    after = read_tosa(with_outputs(serialized, names))
    assert after.outputs == names
    assert (after.ops, after.tensors, after.inputs) == (before.ops, before.tensors, before.inputs)
    assert {"CONV2D", "RESCALE", "TABLE"} <= {op.name for op in before.ops}


def test_what_is_observed_changes_no_result(lowered: Lowered) -> None:
    observed = observe(lowered.program, INPUTS)
    for seen, run in zip(observed.outputs, run_edge_program(lowered.program, INPUTS), strict=True):
        assert torch.equal(seen, run)
    ops = {observed.ops[tensor.place] for tensor in observed.tensors if tensor.place[0]}
    assert {"RESCALE", "TABLE"} <= ops
    assert "CONV2D" not in ops, "an accumulator has no codes of the program's"


def test_data_flows_from_the_input_through_the_delegate_to_the_results(lowered: Lowered) -> None:
    flow = observe(lowered.program, INPUTS).flow
    assert nx.is_directed_acyclic_graph(flow)
    first = next(place for place in flow if place[1] == "quantized_decomposed_quantize_per_tensor_default")
    tables = [place for place in flow if "table" in place[1] and place[0] and flow.in_degree(place)]
    results = [place for place in flow if "getitem" in place[1]]
    assert len(results) == 2
    for place in (*tables, *results):
        assert nx.has_path(flow, first, place), place
