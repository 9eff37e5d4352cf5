"""A guarded partitioner knows the program's constants, and puts right what no check could prevent."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("executorch")

from executorch.backends.arm.tosa.compile_spec import TosaCompileSpec  # noqa: E402
from executorch.backends.arm.tosa.partitioner import TOSAPartitioner  # noqa: E402
from executorch.exir import to_edge_transform_and_lower  # noqa: E402
from torch import nn  # noqa: E402

from fuseguard.executorch import guard  # noqa: E402
from fuseguard.executorch.lowering import describe  # noqa: E402
from fuseguard.executorch.quantizing import quantize  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.slow]
SPEC = "TOSA-1.0+INT"


class Pooled(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.max_pool2d(x * 2, 2)


def test_a_stride_left_out_is_written_out_before_the_partitioner_reads_it() -> None:
    program = quantize(Pooled(), (torch.randn(1, 4, 8, 8),), SPEC)
    partitioner = guard(TOSAPartitioner(TosaCompileSpec(SPEC)), program=program)
    edge = to_edge_transform_and_lower(copy.deepcopy(program), partitioner=[partitioner])
    lowered = describe(edge.exported_program())
    assert not [op for op in lowered.cpu_ops if "pool" in op]
    assert not partitioner.fuseguard_report.errors


@pytest.mark.parametrize("shown", [True, False])
def test_a_bias_scale_per_channel_is_seen_where_the_program_is_shown(shown: bool) -> None:
    program = quantize(nn.Conv2d(4, 4, 1), (torch.randn(1, 4, 6, 6),), SPEC)
    name = next(
        node.args[1].name for node in program.graph.nodes if "int32" in str(node.args) and "channel" in str(node.target)
    )
    key = next(spec.target for spec in program.graph_signature.input_specs if spec.arg.name == name)
    program.state_dict[key] = program.state_dict[key] * 3
    partitioner = guard(TOSAPartitioner(TosaCompileSpec(SPEC)), program=program if shown else None)
    to_edge_transform_and_lower(copy.deepcopy(program), partitioner=[partitioner])
    codes = {finding.code for finding in partitioner.fuseguard_report.findings}
    assert ("QP305" in codes) is shown
