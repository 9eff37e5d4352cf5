"""action.yml and examples/ci/github-actions.yml: the steps do what a gate must, run here as GitHub would run them.

Protects: a gate that lets a new finding pass or is green on nothing, an upload of a report that was never written, and
an input that is run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fuseguard_testkit.paths import DATA, ROOT

yaml = pytest.importorskip("yaml")
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
EXAMPLE = (ROOT / "examples" / "ci" / "github-actions.yml").read_text()
WORKFLOW: dict[Any, Any] = yaml.safe_load(EXAMPLE)
#: The step of the workflow that uses the action.
(USED,) = [step for step in WORKFLOW["jobs"]["fuseguard"]["steps"] if "<repository>" in step["uses"]]


def shell(text: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a step's script with the options that GitHub gives bash."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text]
    environment = {**os.environ, "PATH": path, **variables}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=120)


def check(project: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """The action's check, with the inputs that the workflow gives it and ``inputs``."""
    given = {name: item["default"] for name, item in ACTION["inputs"].items()} | USED["with"] | inputs
    (step,) = [step for step in STEPS if step.get("id") == "check"]
    variables = {
        name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda match: given[match[1]], value)
        for name, value in step["env"].items()
    }
    runner = project / "runner"
    runner.mkdir(exist_ok=True)
    (runner / "output").write_text("")
    (runner / "summary.md").write_text("")
    variables |= {
        "RUNNER_TEMP": str(runner), "GITHUB_OUTPUT": str(runner / "output"),
        "GITHUB_STEP_SUMMARY": str(runner / "summary.md"),
    }  # fmt: skip
    return shell(step["run"], project, **variables)


def sarif(project: Path) -> dict[str, Any]:
    """The only run of the report that the action says it wrote."""
    (path,) = re.findall("sarif=(.*)\n", (project / "runner" / "output").read_text())
    (run,) = json.loads(Path(path).read_text())["runs"]
    return dict(run)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two models, one with a known finding, and the baseline made as the example's first lines say."""
    (tmp_path / "models").mkdir()
    shutil.copy(DATA / "conv_cat.pt2", tmp_path / "models" / "old.pt2")
    shutil.copy(DATA / "linear.pt2", tmp_path / "models" / "right.pt2")
    create = next(line for line in EXAMPLE.splitlines() if "fuseguard baseline create" in line).partition("with: ")[2]
    done = shell(create, tmp_path)
    assert done.returncode == 0, done.stderr
    return tmp_path


def test_what_is_known_passes_and_the_report_is_written(project: Path) -> None:
    done = check(project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(result.get("suppressions") for result in sarif(project)["results"]), "known, so not an alert"


def test_a_program_that_is_not_quantized_fails_the_job(project: Path) -> None:
    """Also where nothing else is found: a gate must not be green on nothing."""
    shutil.copy(DATA / "cond.pt2", project / "models" / "float.pt2")
    done = check(project)
    assert done.returncode == 1
    assert "PG801" in done.stdout


def test_a_new_finding_fails_the_job_and_is_in_all_reports(project: Path) -> None:
    shutil.copy(DATA / "conv_cat_edge.pt2", project / "models" / "new.pt2")
    (project / "fuseguard-baseline.json").unlink()
    assert shell("fuseguard baseline create models/right.pt2 --target all", project).returncode == 0
    done = check(project)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "::error " in done.stdout, "an annotation"
    assert {result["ruleId"] for result in sarif(project)["results"] if not result.get("suppressions")} == {"FU101"}
    assert "FU101" in (project / "runner" / "summary.md").read_text()


@pytest.mark.parametrize("inputs", [{"files": "nowhere/*.pt2"}, {"target": "no such target"}])
def test_a_check_that_cannot_be_made_fails_the_job_and_has_no_report(inputs: dict[str, str], project: Path) -> None:
    done = check(project, **inputs)
    assert done.returncode == 2
    assert (project / "runner" / "output").read_text() == ""


@pytest.mark.parametrize("name", ["files", "target", "executorch", "baseline", "args"])
def test_nothing_in_an_input_is_run(name: str, project: Path) -> None:
    check(project, **{name: "$(touch made); `touch made`; touch made"})
    assert not (project / "made").exists()


def test_the_report_is_uploaded_even_when_the_check_fails_but_only_if_there_is_one() -> None:
    (upload,) = [step for step in STEPS if "upload-sarif" in step.get("uses", "")]
    assert upload["with"]["sarif_file"] == "${{ steps.check.outputs.sarif }}"
    assert "!cancelled()" in upload["if"], "the default is success(), and then nobody sees the findings"
    assert "steps.check.outputs.sarif != ''" in upload["if"], "as after an installation that failed"
    assert "head.repo.full_name == github.repository" in upload["if"], "a fork may not upload"


def test_the_workflow_gives_the_action_inputs_that_it_has_and_may_upload() -> None:
    assert set(USED["with"]) <= set(ACTION["inputs"])
    assert WORKFLOW["permissions"]["security-events"] == "write"
