"""examples/ci/nightly.yml: its sweep is run here as GitHub would run it, and what changed becomes the text of an issue.

Protects: a nightly run that reports nothing because an option has another name.
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

from fuseguard_testkit.paths import ROOT
from fuseguard_testkit.sweeping import manifest, models

yaml = pytest.importorskip("yaml")
WORKFLOW: dict[Any, Any] = yaml.safe_load((ROOT / "examples" / "ci" / "nightly.yml").read_text())
STEPS: dict[str, dict[str, Any]] = {step["name"]: step for step in WORKFLOW["jobs"]["sweep"]["steps"] if "name" in step}
pytestmark = pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq, which GitHub's machines have")

#: Stand in for tools that a night has, and that take long or write to GitHub.
TOOLS = "import sys\nprint('1.5.1 1.4.1' if '--list' in sys.argv else 'python')\n"
GH = '#!/bin/sh\necho "$@" > issue.txt\ncat body.md >> issue.txt\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout with models and a manifest, in which fuseguard's own checkout is as the workflow puts it."""
    models(tmp_path, 2)
    manifest(tmp_path, targets='"TOSA-1.0+INT+FP"')
    (tmp_path / "fuseguard" / "tools").mkdir(parents=True)
    (tmp_path / "fuseguard" / "tools" / "release_env.py").write_text(TOOLS)
    programs = tmp_path / "fuseguard" / ".venvs" / "1.5.1" / "bin"
    programs.mkdir(parents=True)
    (programs / "fuseguard").write_text(f'#!/bin/sh\nexec {sys.executable} -m fuseguard "$@"\n')
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gh").write_text(GH)
    for program in (programs / "fuseguard", tmp_path / "bin" / "gh"):
        program.chmod(0o755)
    return tmp_path


def night(project: Path) -> dict[str, str]:
    """Run the sweep; what it puts out for later steps."""
    (project / "output").write_text("")
    environment = {
        **os.environ,
        "SHIPPED": str(WORKFLOW["env"]["SHIPPED"]),
        "GITHUB_OUTPUT": str(project / "output"),
        "GITHUB_STEP_SUMMARY": str(project / "summary.md"),
    }
    shell(STEPS["Sweep"]["run"], project, environment)
    return dict(line.split("=") for line in (project / "output").read_text().split())


def shell(script: str, project: Path, environment: dict[str, str]) -> None:
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=project, env=environment, timeout=120)
    assert done.returncode == 0, done


def test_a_night_that_changes_something_opens_an_issue_that_says_what(project: Path) -> None:
    assert night(project) == {"code": "1", "changes": "0"}, "there is nothing to compare the first night with"
    assert night(project) == {"code": "1", "changes": "0"}
    shutil.copy(project / "models" / "m0001.pt2", project / "models" / "m0000.pt2")
    outputs = night(project)
    assert int(outputs["changes"]) >= 1
    document = json.loads((project / "nightly" / "sweep.json").read_text())
    assert {change["model"] for change in document["changes"]} == {"models/m0000.pt2"}
    text = STEPS["Open an issue with what changed"]["run"]
    path = f"{project / 'bin'}{os.pathsep}{os.environ['PATH']}"
    found = {"CHANGES": outputs["changes"], "RELEASE": "success", "SWEEP": "success", "RUN": "https://example.org/1"}
    shell(text, project, {**os.environ, **found, "PATH": path})
    issue = (project / "issue.txt").read_text()
    assert f"Nightly sweep: {outputs['changes']} verdicts changed" in issue
    assert re.search(r"check models.*m0000.*pt2 .* error .* clean", issue), issue


def test_the_workflow_may_open_issues_and_sweeps_even_if_the_release_cannot_be_added() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read", "issues": "write"}
    assert STEPS["Add the newest release"]["continue-on-error"] is True
    assert STEPS["Add the newest release"]["run"] == "make release RELEASE=newest"
