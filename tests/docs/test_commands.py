"""Every command in README.md and docs/ is run, with the exit code and the output that the page promises.

Protects: documentation that no longer works. What cannot be run is listed below with the reason.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from fuseguard.cli.main import cli
from fuseguard.engine.registry import Registry
from fuseguard.gate.config import load_config
from fuseguard.sweep.manifest import load_manifest
from fuseguard_testkit.documents import FIRST_HOUR, SCRIPTS, Block, Command, blocks, commands
from fuseguard_testkit.paths import DATA, ROOT

_TWO_RELEASES = "needs two releases installed; tests/tools/test_compare_backend.py compares smaller ones"

#: Command -> why no test of this file runs it.
NOT_RUN = {
    "pip install .": "changes the environment; test_pre_commit.py installs the package",
    'pip install ".[prove]"': "two gigabytes; tools/release_env.py installs the same packages for make test",
    "make test": "runs this test",
    'make test-releases MARKS="not campaign"': "runs this test, on every release",
    "make release RELEASE=1.5.0": "lowers for an hour; tests/tools/test_add_release.py does it on a small scale",
    "python3 tools/compare_backend.py 1.4.1 1.5.1 --show FuseQuantizedActivationPass": _TWO_RELEASES,
    "python3 tools/compare_backend.py 1.4.1 1.5.1": _TWO_RELEASES,
    "python3 tools/compare_backend.py 1.4.1 1.5.1 --json": _TWO_RELEASES,
    ".venvs/1.5.1/bin/fuseguard selftest -j 2": "takes a quarter of an hour; the conformance tests are the same code",
    ".venvs/1.5.1/bin/fuseguard selftest --select OP703 --record": (
        "writes into the checkout; tests/cli/test_cli_selftest.py records into another folder"
    ),
    ".venvs/1.5.1/bin/python tests/upstream/run_upstream.py --out upstream.jsonl": "takes hours",
    ".venvs/1.5.1/bin/python tests/differential/campaign.py --programs 3000 --seed 5 --jobs 2 --out campaign.jsonl": (
        "takes hours; the tests marked campaign are the same code"
    ),
    ".venvs/1.5.1/bin/python tests/differential/campaign.py --grammar whole --seed 20261130 --programs 2000 --store": (
        "takes hours; tests/differential/test_records.py continues one"
    ),
    ".venvs/1.5.1/bin/python tests/differential/campaign.py --repairs --programs 250 --seed 5 --out repairs.jsonl": (
        "takes minutes; tests/differential/test_repair_programs.py runs some of it"
    ),
    ".venvs/1.5.1/bin/python tests/lockstep/mutant_campaign.py --out mutants.jsonl": (
        "takes minutes; tests/lockstep/test_mutants.py judges some of them"
    ),
    ".venvs/1.5.1/bin/python tests/differential/functions.py --out functions.jsonl": (
        "takes half an hour; tests/differential/test_functions.py runs some of it"
    ),
    ".venvs/1.5.1/bin/python tests/differential/reduced_programs.py --out small.jsonl --programs 13": (
        "takes half an hour; tests/differential/test_reduced_programs.py runs it"
    ),
    ".venvs/1.5.1/bin/python tests/differential/reduced_programs.py --out small.jsonl --announced wrong --programs 7": (
        "takes ten minutes; tests/differential/test_reduced_programs.py runs the same on other programs"
    ),
    ".venvs/1.5.1/bin/python tests/differential/two_judges.py --out judges.jsonl": (
        "takes half an hour; tests/lockstep/test_cells.py judges a sample"
    ),
    ".venvs/1.5.1/bin/python tests/differential/campaign.py --out campaign.jsonl --summary": "reads what that wrote",
    ".venvs/1.5.1/bin/python tests/differential/campaign.py --out campaign.jsonl --refresh --jobs 2": (
        "judges again what that wrote"
    ),
}
#: Command -> what it comes to where the environment is there already. Vulkan takes a minute, and test_vgf.py runs it.
RUN_AS = {"make demo": "python examples/digits/demo.py --no-vgf"}
#: Commands that begin like this train or lower, read what such a command has written, or take as long.
WITH_TORCH = (
    "make demo", "fuseguard placement", "fuseguard prove", "fuseguard reduce", "fuseguard repair", "fuseguard selftest",
    "fuseguard view model.pt2 --target TOSA-1.0+INT --placement", ".venvs/1.5.1/bin/fuseguard",
    "python tools/generate_docs.py",
)  # fmt: skip

SHELL = [block for block in blocks("sh", "console", "bash", "shell") if block.page != FIRST_HOUR]
RUNNABLE: dict[str, list[Command]] = {}
for _block in SHELL:
    RUNNABLE.setdefault(_block.page, []).extend(c for c in commands(_block) if c.text not in NOT_RUN)


def needs_torch(command: Command) -> bool:
    return command.text.startswith(WITH_TORCH)

#: Those of them that run in the process of the test.
IN_PROCESS = ("fuseguard placement", "fuseguard prove", "fuseguard reduce", "fuseguard repair")
SHELL_SYNTAX = re.compile(r"[|&;<>$*]")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with the files that the pages speak of, and copies of what is in this checkout."""
    for name in ("tools", "docs", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("out", "__pycache__"))
    for name in ("model.pt2", "float.pt2", "models/first.pt2", "examples/digits/out/digits.pt2"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(DATA / "conv_cat.pt2", tmp_path / name)
    shutil.copy(DATA / "linear.pt2", tmp_path / "models" / "second.pt2")
    shutil.copy(DATA / "several.etrecord", tmp_path / "model.etrecord")
    (manifest,) = blocks("toml", pages=[ROOT / "docs" / "sweep.md"])
    (tmp_path / "sweep.toml").write_text(manifest.text)
    return tmp_path


def run(command: Command, folder: Path) -> None:
    """Run one command as a shell would; check its exit code, and what it prints if the page says so."""
    environment = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "FUSEGUARD_DEBUG")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    text = RUN_AS.get(command.text, command.text).replace(".venvs/1.5.1/bin/", "")
    done = subprocess.run(
        ["bash", "-c", text], capture_output=True, text=True, cwd=folder, env=environment, timeout=900
    )
    judge(command, done.returncode, done.stdout, done.stderr)


def run_here(command: Command) -> None:
    """Run one command of fuseguard in this process, which has torch already: it takes 12 s to import."""
    done = CliRunner().invoke(cli, shlex.split(command.text)[1:], prog_name="fuseguard")
    judge(command, done.exit_code, done.stdout, done.stderr)


def judge(command: Command, exit_code: int, stdout: str, stderr: str) -> None:
    assert exit_code == command.exit_code, f"{command.text}\n{stdout}{stderr}"
    assert "Traceback" not in stderr
    if command.output is not None:
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        assert doctest.OutputChecker().check_output(command.output, stdout, flags), stdout


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page, found in RUNNABLE.items() if not all(map(needs_torch, found))])
def test_commands_run_as_the_page_says(page: str, folder: Path) -> None:
    """In the page's order, in one folder: later commands read what earlier ones write."""
    for command in RUNNABLE[page]:
        if not needs_torch(command):
            run(command, folder)


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page, found in RUNNABLE.items() if any(map(needs_torch, found))])
def test_commands_run_as_the_page_says_with_those_that_lower(
    page: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the demonstration, all of the page, so that what it leaves is checked, repaired and proved."""
    monkeypatch.chdir(folder)
    demonstrated = any(command.text in RUN_AS for command in RUNNABLE[page])
    for command in RUNNABLE[page]:
        if not (demonstrated or needs_torch(command)):
            continue
        if command.text.startswith(IN_PROCESS) and not SHELL_SYNTAX.search(command.text):
            run_here(command)
        else:
            run(command, folder)


def test_what_is_not_run_is_still_in_the_documentation() -> None:
    texts = {command.text for block in SHELL for command in commands(block)}
    assert [command for command in NOT_RUN if command not in texts] == []


def test_there_are_commands_to_run() -> None:
    """A parser of blocks that finds nothing would make every test here pass."""
    found = [command for page in RUNNABLE.values() for command in page]
    assert len(found) > 20
    assert sum(map(needs_torch, found)) >= 5
    assert any(command.output for command in found)


def test_a_wrong_promise_is_noticed(folder: Path) -> None:
    with pytest.raises(AssertionError, match="fuseguard 0"):
        run(Command("fuseguard version", 0, "fuseguard 99\n..."), folder)
    with pytest.raises(AssertionError, match="FU101"):
        run(Command("fuseguard check model.pt2 --executorch 1.5.1"), folder)


PYTHON = [block for block in blocks("python") if block.page not in (*SCRIPTS, FIRST_HOUR)]


@pytest.mark.parametrize("block", [pytest.param(block, id=block.id) for block in PYTHON])
def test_python_compiles_and_runs_where_it_needs_no_torch(
    block: Block, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    code = compile(block.text, block.id, "exec")
    if not any(word in block.text for word in ("executorch.", "fuseguard.executorch", "torch.export")):
        exec(code, {"__name__": "example"})


@pytest.mark.parametrize("block", [pytest.param(block, id=block.id) for block in blocks("toml")])
def test_configurations_can_be_used(block: Block, tmp_path: Path, registry: Registry) -> None:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    document = tomllib.loads(block.text)
    if "fuseguard" in document.get("tool", {}):
        (tmp_path / "shared").mkdir()
        (tmp_path / "shared" / "fuseguard.toml").touch()  # what an example extends
        (tmp_path / "pyproject.toml").write_text(block.text)
        load_config(tmp_path / "pyproject.toml", registry)
    elif "models" in document:
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / "first.pt2").touch()
        (tmp_path / "sweep.toml").write_text(block.text)
        load_manifest(tmp_path / "sweep.toml")
    else:
        assert "fuseguard.rules" in document["project"]["entry-points"]
