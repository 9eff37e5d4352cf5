"""Guarded and repaired programs through the real compilers: Vela for Ethos-U, the model converter for VGF.

They compile; what the compilers make of the TOSA is not judged.
"""

from __future__ import annotations

import copy
import shutil

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")

import torch  # noqa: E402
from executorch.backends.arm.ethosu import EthosUCompileSpec, EthosUPartitioner  # noqa: E402
from executorch.backends.arm.vgf import VgfCompileSpec, VgfPartitioner  # noqa: E402
from executorch.exir import to_edge_transform_and_lower  # noqa: E402

import fuseguard  # noqa: E402
from fuseguard.executorch import guard, lower  # noqa: E402
from fuseguard.executorch.materialize import materialize  # noqa: E402
from fuseguard.target import TargetError  # noqa: E402
from fuseguard_rules.examples.fusion import islands as examples  # noqa: E402

BROKEN = examples.OUT_OF_RANGE[0]  # conv2d -> relu into a cat with a signed branch


def left_on_the_cpu(program: torch.export.ExportedProgram) -> list[str]:
    calls = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    return [call for call in calls if not any(part in call for part in ("quantize_per", "delegate", "getitem"))]


def payloads(program: torch.export.ExportedProgram) -> list[bytes]:
    module = program.graph_module
    return [getattr(module, str(n.target)).processed_bytes for n in module.graph.nodes if n.op == "get_attr"]


@pytest.mark.parametrize("accelerator", ["ethos-u55-128", "ethos-u85-256"])
def test_ethos_u_through_vela(accelerator: str) -> None:
    pytest.importorskip("ethosu.vela")
    program, _ = materialize(BROKEN.graph())
    guarded = guard(EthosUPartitioner(EthosUCompileSpec(accelerator)))
    edge = to_edge_transform_and_lower(copy.deepcopy(program), partitioner=[guarded]).exported_program()
    assert any("convolution" in call for call in left_on_the_cpu(edge))
    assert all(b"vela" in payload[:64] for payload in payloads(edge))

    partitioner = EthosUPartitioner(EthosUCompileSpec(accelerator))
    repaired = lower(program, partitioner).exported_program()
    assert [item.finding.code for item in partitioner.fuseguard_repair.applied] == ["FU101"]
    assert left_on_the_cpu(repaired) == []
    assert all(b"vela" in payload[:64] for payload in payloads(repaired))


def test_vgf_through_the_model_converter() -> None:
    if shutil.which("model-converter") is None:
        pytest.skip("the model converter is not on PATH")
    program, _ = materialize(BROKEN.graph())
    guarded = guard(VgfPartitioner(VgfCompileSpec()))
    edge = to_edge_transform_and_lower(copy.deepcopy(program), partitioner=[guarded]).exported_program()
    assert any("convolution" in call for call in left_on_the_cpu(edge))
    assert all(payload.startswith(b"VGF1") for payload in payloads(edge))

    repaired = lower(program, VgfPartitioner(VgfCompileSpec())).exported_program()
    assert left_on_the_cpu(repaired) == []
    assert all(payload.startswith(b"VGF1") for payload in payloads(repaired))


def test_lower_without_repair_guards() -> None:
    pytest.importorskip("ethosu.vela")
    program, _ = materialize(BROKEN.graph())
    partitioner = EthosUPartitioner(EthosUCompileSpec("ethos-u85-256"))
    edge = lower(program, partitioner, repair=False).exported_program()
    assert partitioner.fuseguard_repair is None
    assert any("convolution" in call for call in left_on_the_cpu(edge))


def test_a_compile_spec_and_a_partitioner_are_targets_of_a_check() -> None:
    """TypeError: unhashable type before."""
    program, _ = materialize(BROKEN.graph())
    by_name = fuseguard.check(program, "vgf")
    assert by_name.findings
    for target in (VgfCompileSpec(), VgfPartitioner(VgfCompileSpec()), [VgfCompileSpec()]):
        report = fuseguard.check(program, target)
        assert [item.fingerprint for item in report.findings] == [item.fingerprint for item in by_name.findings]
    with pytest.raises(TargetError, match="of the type int; pass a target such as"):
        fuseguard.check(program, 85)  # type: ignore[arg-type]
