"""The judge steps into the bodies of control flow, in float64 too.

Protects: verdicts on programs whose branches quantize: torch's own Q insists on float32, and such programs were
"not judged".
"""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.torch

pytest.importorskip("executorch")

import torch  # noqa: E402

from fuseguard.executorch.float64 import run_exactly  # noqa: E402
from fuseguard.executorch.materialize import materialize  # noqa: E402
from fuseguard.executorch.outputs import run_eager  # noqa: E402
from fuseguard.ir import Graph  # noqa: E402
from fuseguard.readers.fx import read_program  # noqa: E402
from fuseguard_rules.examples.boundary import control_flow_graphs as graphs  # noqa: E402

ops = torch.ops.quantized_decomposed


def requantize(x: torch.Tensor, scale: float) -> torch.Tensor:
    q = ops.quantize_per_tensor.default(x, scale, 3, -128, 127, torch.int8)
    return ops.dequantize_per_tensor.default(q, scale, 3, -128, 127, torch.int8)


class Branches(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value = requantize(x, 0.01)
        return torch.cond(
            value.sum() > 0,
            lambda item: requantize(item * item, 0.02),
            lambda item: requantize(item + item, 0.03),
            (value,),
        )


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_both_branches_run_in_float64(sign: float) -> None:
    torch.manual_seed(0)  # with no value at a rounding tie, which float32 and float64 may break differently
    x = sign * torch.rand(1, 2, 8)
    program = torch.export.export(Branches(), (x,))
    (exact,) = run_exactly(program, (x,))
    assert exact.dtype == torch.float64
    torch.testing.assert_close(exact.to(torch.float32), run_eager(program, (x,))[0])


def calls(graph: Graph) -> list[tuple[str, bool]]:
    """The ops of a graph and its bodies, and which are annotated."""
    found = [(node.target, node.annotated) for node in graph if node.op == "call"]
    for name in sorted(graph.subgraphs):
        found += calls(graph.subgraphs[name])
    return found


@pytest.mark.parametrize(
    "graph", [graphs.cond(branches=("add", "float"))(), graphs.loop(inside=graphs.FINER)()], ids=["cond", "while_loop"]
)
def test_bodies_are_made_with_their_ops_and_annotations(graph: Graph) -> None:
    program, _ = materialize(graph)
    assert sorted(calls(read_program(program))) == sorted(calls(graph))


def test_what_a_loop_carries_is_rounded_to_the_qparams_after_it_between_rounds() -> None:
    """Where they are those of its body, nothing is rounded that was not."""
    program, inputs = materialize(graphs.loop(inside=graphs.FINER)())
    meant = run_exactly(program, inputs)
    assert any(not torch.equal(*pair) for pair in zip(meant, run_exactly(program, inputs, snapped=True), strict=True))
    program, inputs = materialize(graphs.loop()())
    meant = run_exactly(program, inputs)
    assert all(torch.equal(*pair) for pair in zip(meant, run_exactly(program, inputs, snapped=True), strict=True))
