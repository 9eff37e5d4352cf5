"""From a float model to the bytes of a .pte file: a guarded program can be emitted, as an unguarded one can."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")

import torch  # noqa: E402

from fuseguard.engine.registry import load_registry  # noqa: E402
from fuseguard.executorch.engines.status import converter_beside_python  # noqa: E402
from fuseguard.ir.pte import PteProgram  # noqa: E402
from fuseguard.readers.lowered import read_lowered  # noqa: E402
from fuseguard_testkit.quantizing import quantize  # noqa: E402

#: In a process of its own, on a saved program: quantizing imports the quantized kernels, and so may other tests.
_SCRIPT = """
import sys
import torch
from executorch.backends.arm.vgf import VgfCompileSpec, VgfPartitioner
from executorch.exir import to_edge_transform_and_lower
from fuseguard.executorch import guard
torch.set_num_threads(1)
program = torch.export.load(sys.argv[1])
partitioner = guard(VgfPartitioner(VgfCompileSpec()), program=program)
before = "executorch.kernels.quantized" in sys.modules
edge = to_edge_transform_and_lower(program, partitioner=[partitioner])
assert partitioner.fuseguard_report.findings
open(sys.argv[2], "wb").write(edge.to_executorch().buffer)
print(before)
"""


def test_a_guarded_program_becomes_a_pte_file(tmp_path: Path) -> None:
    """Without the quantized kernels: Missing out variants: quantized_decomposed::dequantize_per_channel."""
    if not (shutil.which("model-converter") or converter_beside_python()):
        pytest.skip("model-converter, which VgfPartitioner calls, is not installed")
    saved, path = tmp_path / "saved.pt2", tmp_path / "guarded.pte"
    example = next(item for item in load_registry().get("FU101").bad if item.program is not None)
    module, inputs = example.program()
    torch.export.save(quantize(module, inputs, "TOSA-1.0+INT+FP", example.config), saved)
    folder = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": os.pathsep.join((folder, os.environ.get("PATH", os.defpath)))}
    command = [sys.executable, "-c", _SCRIPT, str(saved), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == "False", "the guard did not have to import the kernels"
    program = read_lowered(path).program
    assert isinstance(program, PteProgram)
    [method] = program.methods
    assert {delegate.backend for delegate in method.delegates} == {"VgfBackend"}
    assert any("dequantize_per_channel" in op for op in method.cpu_ops), method.cpu_ops
    assert any("convolution" in op for op in method.cpu_ops), method.cpu_ops
