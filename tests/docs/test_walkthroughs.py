"""The pages that go from a float model to a .pte file are run as they are written.

Protects: a first attempt that dies in one of Arm's passes because a line is missing from the page.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fuseguard_testkit.documents import SCRIPTS, blocks
from fuseguard_testkit.paths import ROOT

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")

#: Page -> the compiler that the backend calls.
COMPILERS = {"ethos-u85.md": "vela", "vgf.md": "model-converter"}


def test_every_script_is_run() -> None:
    assert {f"docs/{page}" for page in COMPILERS} == set(SCRIPTS)


@pytest.mark.parametrize(
    ("page", "compiler"),
    [("ethos-u85.md", COMPILERS["ethos-u85.md"]),
     pytest.param("vgf.md", COMPILERS["vgf.md"], marks=pytest.mark.thorough)],
)
def test_the_page_runs_from_the_model_to_the_file(page: str, compiler: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    if shutil.which(compiler, path=environment["PATH"]) is None:
        pytest.skip(f"{compiler} is not on PATH")
    script = "\n".join(block.text for block in blocks("python", pages=[ROOT / "docs" / page]))
    (tmp_path / "script.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "script.py"], capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=900
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "error FU101 fused-activation-out-of-range at " in done.stdout
    assert "1 of 1 can be repaired bit-exactly\n" in done.stdout
    assert "1 repair for " in done.stdout
    assert "fuseguard: nothing refused for " in done.stdout
    assert "\nexact on " in done.stdout
    assert done.stdout.endswith("wrong\n")
    assert (tmp_path / "model.pte").read_bytes()[4:8] == b"ET12"
    assert (tmp_path / "model.pt2").is_file()


@pytest.mark.thorough
def test_the_ten_lines_of_the_home_page_end_with_an_exact_proof(tmp_path: Path) -> None:
    shutil.copy(ROOT / "tests" / "readers" / "data" / "conv_cat.pt2", tmp_path / "model.pt2")
    (block,) = blocks("python", pages=[ROOT / "docs" / "index.md"])
    assert sum(bool(line) for line in block.text.splitlines()) == 10
    shapes = "inputs = [torch.randn(node.meta['val'].shape) for node in program.graph.find_nodes(op='placeholder')"
    script = block.text.replace(
        "target = ", f"{shapes} if node.name in program.graph_signature.user_inputs]\ntarget = ", 1
    )
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    if shutil.which("vela", path=environment["PATH"]) is None:
        pytest.skip("vela is not on PATH")
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=900
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "error FU101 fused-activation-out-of-range at " in done.stdout
    assert "\nexact on TOSA-1.0+INT+int16+int4+cf, " in done.stdout


SAVED = """
import torch
from executorch.backends.arm.tosa.compile_spec import TosaCompileSpec
from executorch.backends.arm.tosa.partitioner import TOSAPartitioner
from executorch.exir import to_edge_transform_and_lower
from fuseguard.executorch import guard

program = torch.export.load("model.pt2")
partitioner = guard(TOSAPartitioner(TosaCompileSpec("TOSA-1.0+INT")), program=program)
edge = to_edge_transform_and_lower(program, partitioner=[partitioner])
print(len(partitioner.fuseguard_report.refused), len(edge.to_executorch().buffer))
"""


def test_a_saved_program_is_guarded_and_serialized_where_no_quantizer_was_imported(tmp_path: Path) -> None:
    """What stays on the CPU has quantize ops, whose kernels nothing else registers."""
    shutil.copy(ROOT / "tests" / "readers" / "data" / "conv_cat.pt2", tmp_path / "model.pt2")
    done = subprocess.run([sys.executable, "-c", SAVED], capture_output=True, text=True, cwd=tmp_path, timeout=900)
    assert done.returncode == 0, done.stderr[-4000:]
    refused, size = map(int, done.stdout.split())
    assert refused > 0
    assert size > 1000
