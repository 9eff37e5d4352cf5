"""From a float model to a .pte file for Ethos-U85 and VGF, guarded and repaired; one without a delegate is run.

Protects: a guard or a repair after which the last step fails, and a file that computes something else than the program.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")

import torch  # noqa: E402
from executorch.exir import to_edge_transform_and_lower  # noqa: E402
from torch import nn  # noqa: E402
from torch.export import ExportedProgram  # noqa: E402

from fuseguard.executorch import guard, lower  # noqa: E402
from fuseguard.executorch.engines.status import vela_status  # noqa: E402
from fuseguard.ir.pte import PteMethod, PteProgram  # noqa: E402
from fuseguard.readers.lowered import read_lowered  # noqa: E402
from fuseguard_testkit.quantizing import quantize  # noqa: E402

newest = pytest.mark.skipif(version("executorch") != "1.5.1", reason="the sizes of the backend are those of 1.5.1")


class Joined(nn.Module):
    """The ReLU shares a range with a signed branch, so its convolution violates FU101."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 8, 3, padding=1)
        self.edges = nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.relu(self.features(x)), self.edges(x)], 1)


@pytest.fixture(scope="module")
def program() -> tuple[ExportedProgram, tuple[torch.Tensor, ...]]:
    torch.manual_seed(0)
    inputs = (torch.randn(1, 3, 8, 8),)
    return quantize(Joined().eval(), inputs, "TOSA-1.0+INT"), inputs


@pytest.fixture(scope="module", autouse=True)
def _tools() -> Iterator[None]:
    """The backend looks for its tools on PATH."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))))
        yield


def _ethos_u85() -> Any:
    if not vela_status().works:
        pytest.skip("Vela is not installed")
    from executorch.backends.arm.ethosu import EthosUCompileSpec, EthosUPartitioner

    return EthosUPartitioner(EthosUCompileSpec("ethos-u85-256"))


def _vgf() -> Any:
    if shutil.which("model-converter") is None:
        pytest.skip("model-converter, which VgfPartitioner calls, is not installed")
    from executorch.backends.arm.vgf import VgfCompileSpec, VgfPartitioner

    return VgfPartitioner(VgfCompileSpec())


def _saved(edge: Any, path: Path) -> PteMethod:
    """What is in the file that a user saves."""
    path.write_bytes(edge.to_executorch().buffer)
    read = read_lowered(path).program
    assert isinstance(read, PteProgram)
    [method] = read.methods
    return method


def _computing(method: PteMethod) -> list[str]:
    return [op for op in method.cpu_ops if "quantize_per" not in op]


@newest
@pytest.mark.parametrize(("backend", "make"), [("EthosUBackend", _ethos_u85), ("VgfBackend", _vgf)])
def test_a_program_becomes_a_file_guarded_and_repaired(
    program: tuple[ExportedProgram, tuple[torch.Tensor, ...]], backend: str, make: Callable[[], Any], tmp_path: Path
) -> None:
    """Guarded, the violating pair is on the CPU and splits the delegate; repaired, one delegate has all of it."""
    exported, inputs = program
    partitioner = guard(make(), program=exported)
    edge = to_edge_transform_and_lower(torch.export.export(exported.module(), inputs), partitioner=[partitioner])
    assert partitioner.fuseguard_report.findings
    guarded = _saved(edge, tmp_path / "guarded.pte")
    assert {item.backend for item in guarded.delegates} == {backend}
    assert any("convolution" in op for op in _computing(guarded)), guarded.cpu_ops
    assert any("dequantize_per_channel" in op for op in guarded.cpu_ops), guarded.cpu_ops
    repaired = _saved(lower(exported, make()), tmp_path / "repaired.pte")
    assert [item.backend for item in repaired.delegates] == [backend]
    assert _computing(repaired) == []
    for item in (*guarded.delegates, *repaired.delegates):
        assert item.fault == ""
        assert item.size > 0
    largest = max(item.size for item in guarded.delegates)
    assert repaired.delegates[0].size > largest, "it holds both convolutions"


@pytest.mark.skipif(
    version("executorch") != "1.5.1", reason="the runtime of 1.4.1 computes something else without any delegate"
)
def test_a_file_without_a_delegate_runs_and_yields_the_program_s_codes(
    program: tuple[ExportedProgram, tuple[torch.Tensor, ...]], tmp_path: Path
) -> None:
    """What the guard refuses runs on these kernels on a device."""
    exported, inputs = program
    import executorch.kernels.quantized  # noqa: F401 - the out variants
    from executorch.extension.pybindings.portable_lib import _load_for_executorch

    edge = to_edge_transform_and_lower(torch.export.export(exported.module(), inputs), partitioner=[])
    method = _saved(edge, tmp_path / "cpu.pte")
    assert method.delegates == ()
    loaded = _load_for_executorch(str(tmp_path / "cpu.pte"))  # results are in its memory
    [result] = loaded.run_method("forward", inputs)
    [expected] = [exported.module()(*inputs)]
    steps = (result - expected).abs()
    assert result.shape == expected.shape
    assert float(steps.max()) == 0.0
