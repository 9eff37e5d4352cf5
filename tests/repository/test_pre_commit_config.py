""".pre-commit-config.yaml, with which this project checks its own commits: pre-commit accepts it, and its hooks pass.

Protects: a hook that nobody can run, and a version of ruff that finds something else than CI does.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from fuseguard_testkit.git_repository import commit, registry_answers, run
from fuseguard_testkit.paths import ROOT

yaml = pytest.importorskip("yaml")
clientlib = pytest.importorskip("pre_commit.clientlib")

CONFIG = ROOT / ".pre-commit-config.yaml"
HOOKS: list[dict[str, Any]] = [hook for repo in yaml.safe_load(CONFIG.read_text())["repos"] for hook in repo["hooks"]]
CONSTRAINTS = [ROOT / "constraints" / name for name in ("core.txt", "executorch-1.5.1.txt")]
#: One file for each hook that can fail alone.
WRONG = {
    "a.py": "import os\n", "b.yaml": "[\n", "c.toml": "=\n", "d.json": "{\n", "e.txt": "no line break", "f.txt": " \n",
}  # fmt: skip
NOT_COPIED = shutil.ignore_patterns(".git", ".venvs", "build", "dist", "out", ".*_cache", "__pycache__", ".hypothesis")


def test_pre_commit_accepts_it() -> None:
    clientlib.load_config(CONFIG)


def test_what_is_installed_is_pinned_and_ruff_is_the_one_of_ci() -> None:
    pins = [pin for hook in HOOKS if hook["language"] == "python" for pin in hook["additional_dependencies"]]
    assert [pin for pin in pins if not re.fullmatch(r"[\w-]+==[\d.]+", pin)] == []
    (ruff,) = (pin for pin in pins if pin.startswith("ruff=="))
    for constraints in CONSTRAINTS:
        assert ruff in constraints.read_text().splitlines(), constraints.name


def test_hooks_that_install_nothing_are_targets_of_the_makefile() -> None:
    entries = [hook["entry"].split() for hook in HOOKS if hook["language"] == "system"]
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert entries == [["make", "types"]]
    assert "types" in targets


@pytest.mark.network
def test_the_checkout_passes_and_what_is_wrong_is_found(tmp_path: Path) -> None:
    """All hooks but mypy, which make lint runs, in the environments that pre-commit makes for them."""
    if not registry_answers():
        pytest.skip("the package index cannot be reached")
    copy = tmp_path / "checkout"
    shutil.copytree(ROOT, copy, ignore=NOT_COPIED)
    commit(copy)
    command = (sys.executable, "-m", "pre_commit", "run", "--all-files")
    settings = {"SKIP": "mypy", "PRE_COMMIT_HOME": str(tmp_path / "home")}
    done = run(*command, cwd=copy, **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Passed") == len(HOOKS) - 1
    for name, content in WRONG.items():
        (copy / name).write_text(content)
    commit(copy)
    done = run(*command, cwd=copy, **settings)
    assert done.returncode == 1
    failed = re.findall(r"hook id: ([\w-]+)", done.stdout)
    assert sorted(failed) == sorted({hook["id"] for hook in HOOKS} - {"mypy", "check-merge-conflict"}), done.stdout
