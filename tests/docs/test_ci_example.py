"""examples/ci/github-actions.yml: its steps do what a gate must, run here as GitHub would run them.

Protects: an example that lets a new finding pass, or that uploads a report that was never written.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fuseguard_testkit.paths import DATA, ROOT

yaml = pytest.importorskip("yaml")
WORKFLOW: dict[Any, Any] = yaml.safe_load((ROOT / "examples" / "ci" / "github-actions.yml").read_text())
STEPS: list[dict[str, Any]] = WORKFLOW["jobs"]["fuseguard"]["steps"]


def shell(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a step's script with the options that GitHub gives bash."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=120)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two models, one with a known finding, and the baseline made as the example's first lines say."""
    (tmp_path / "models").mkdir()
    shutil.copy(DATA / "conv_cat.pt2", tmp_path / "models" / "old.pt2")
    shutil.copy(DATA / "linear.pt2", tmp_path / "models" / "right.pt2")
    text = (ROOT / "examples" / "ci" / "github-actions.yml").read_text()
    create = next(line for line in text.splitlines() if "fuseguard baseline create" in line).partition("with: ")[2]
    done = shell(create, tmp_path)
    assert done.returncode == 0, done.stderr
    return tmp_path


def check_step() -> dict[str, Any]:
    (step,) = [step for step in STEPS if "fuseguard check" in step.get("run", "")]
    return step


def test_what_is_known_passes_and_the_report_is_written(project: Path) -> None:
    done = shell(check_step()["run"], project)
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = json.loads((project / "fuseguard.sarif").read_text())["runs"]
    assert all(result.get("suppressions") for result in run["results"]), "known, so not an alert"


def test_a_program_that_is_not_quantized_fails_the_job(project: Path) -> None:
    """Also where nothing else is found: a gate must not be green on nothing."""
    shutil.copy(DATA / "cond.pt2", project / "models" / "float.pt2")
    done = shell(check_step()["run"], project)
    assert done.returncode == 1
    assert "PG801" in done.stdout


def test_a_new_finding_fails_the_job_and_is_in_the_report(project: Path) -> None:
    shutil.copy(DATA / "conv_cat_edge.pt2", project / "models" / "new.pt2")
    (project / "fuseguard-baseline.json").unlink()
    assert shell("fuseguard baseline create models/right.pt2 --target all", project).returncode == 0
    done = shell(check_step()["run"], project)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "::error " in done.stdout, "an annotation"
    (run,) = json.loads((project / "fuseguard.sarif").read_text())["runs"]
    assert {result["ruleId"] for result in run["results"] if not result.get("suppressions")} == {"FU101"}


def test_the_report_is_uploaded_even_when_the_check_fails() -> None:
    position = STEPS.index(check_step())
    (upload,) = [step for step in STEPS[position:] if "upload-sarif" in step.get("uses", "")]
    assert upload["with"]["sarif_file"] in check_step()["run"]
    assert "failure()" in upload["if"], "the default is success(), and then nobody sees the findings"
    assert WORKFLOW["permissions"]["security-events"] == "write", "upload-sarif needs it"


def test_nothing_is_installed_by_a_name_that_nobody_has_registered() -> None:
    """fuseguard is on no package index: whoever registers the name there first would run code in everybody's CI."""
    (install,) = [step["run"] for step in STEPS if "pip install" in step.get("run", "")]
    assert install.split()[-1] == '"$FUSEGUARD"'
    assert WORKFLOW["env"]["FUSEGUARD"].startswith("fuseguard @ git+<repository>")


def test_the_workflow_is_one() -> None:
    assert set(WORKFLOW) >= {"name", "jobs", True}, "YAML 1.1 reads the key 'on' as true"
    assert "pull_request" in WORKFLOW[True]
    for step in STEPS:
        assert ("run" in step) != ("uses" in step)
        assert "@v" in step.get("uses", "@v"), "an action without a version may change"
