"""docs/first-hour.md is run as it is written, from ``git clone`` to the verdict, on a model that is not ours.

Protects: a stranger who is left with a question, or with a command that does not work.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from fuseguard_testkit.documents import FIRST_HOUR, Block, blocks, commands
from fuseguard_testkit.paths import ROOT

RELEASE = "1.5.1"  # the one that the page is about

#: What installs the environment, which is there: tools/release_env.py puts the clone into it.
INSTALLING = (
    "python3 -m venv fuseguard-env",
    ". fuseguard-env/bin/activate",
    'pip install "./fuseguard[prove]" torchvision',
)

#: PyPI's torchvision is built for CUDA. Beside a torch without it, its ops cannot be loaded, and then it describes some
#: of them as if they were there. Its models need none.
WITHOUT_CUDA = """
import torch
if torch.version.cuda is None:
    _ops = torch.library.Library("torchvision", "FRAGMENT")
    for _name in ("nms", "qnms"):
        _ops.define(_name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""


def page() -> list[Block]:
    found = blocks("sh", "python", pages=[ROOT / FIRST_HOUR])
    return sorted(found, key=lambda block: block.line)


def test_the_page_starts_with_a_clone_and_the_installation() -> None:
    first = [command.text for command in commands(page()[0])]
    assert first == ["git clone ADDRESS fuseguard", *INSTALLING]


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.thorough
def test_the_page_goes_from_the_clone_to_the_verdict(tmp_path: Path) -> None:
    try:
        found = (metadata.version("executorch"), metadata.version("torchvision"))
    except metadata.PackageNotFoundError as error:
        pytest.skip(f"{error}: tools/release_env.py {RELEASE} installs it")
    if found[0] != RELEASE or not (ROOT / ".git").exists():
        pytest.skip(f"the page is about ExecuTorch {RELEASE}, and starts with a clone of the repository")

    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTHONPATH", None)

    def run(command: list[str], exit_code: int = 0) -> str:
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=900)
        assert done.returncode == exit_code, f"{command}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        return done.stdout

    said: dict[str, str] = {}
    for block in page():
        if block.language == "python":
            (tmp_path / "quantize.py").write_text(f"{WITHOUT_CUDA}{block.text}")
            continue
        for command in commands(block):
            if command.text.startswith("git clone"):
                run(["git", "clone", "--quiet", str(ROOT), "fuseguard"])
                python = run([sys.executable, "fuseguard/tools/release_env.py", RELEASE])
                environment["PATH"] = f"{Path(python.strip()).parent}{os.pathsep}{os.environ['PATH']}"
                assert str(tmp_path) in run(["python", "-c", "import fuseguard; print(fuseguard.__file__)"])
            elif command.text not in INSTALLING:
                said[" ".join(command.text.split()[:3])] = run(["bash", "-c", command.text], command.exit_code)

    assert "tosa" in said["fuseguard doctor"]
    assert "FU101" in said["fuseguard demo"]
    checked = said["fuseguard check model.pt2"]
    assert checked.count("error[FU101]") == 1
    assert "torchvision/models/optical_flow/raft.py" in checked
    assert "1 error, 0 warnings, 0 notes in " in checked
    proved = said["fuseguard prove model.pt2"]
    assert proved.startswith("wrong: model.pt2")
    assert "rule    FU101" in proved
    assert "exact" in said["fuseguard repair model.pt2"]
    assert "0 errors, 0 warnings, 0 notes in " in said["fuseguard check repaired.pt2"]
    shutil.rmtree(tmp_path / "fuseguard")
