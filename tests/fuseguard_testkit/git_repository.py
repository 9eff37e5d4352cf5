"""Git repositories that tests make, for what runs in one: pre-commit and its hooks."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from pathlib import Path

GIT = ("git", "-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false")


def run(*command: str, cwd: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run a command in ``cwd``, with the programs of this environment first and ``changes`` to the variables."""
    # A git hook that runs these tests sets GIT_*, which would point at this checkout's repository.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{inherited['PATH']}"
    environment = {**inherited, "PATH": path, "NO_COLOR": "1", **changes}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=600)


def commit(folder: Path) -> str:
    """Make ``folder`` a repository with all its files in one commit; the commit's hash."""
    for command in (("git", "init", "-q", "-b", "main"), ("git", "add", "-A"), (*GIT, "commit", "-q", "-m", "all")):
        done = run(*command, cwd=folder)
        assert done.returncode == 0, done.stderr
    return run("git", "rev-parse", "HEAD", cwd=folder).stdout.strip()


def registry_answers() -> bool:
    """Whether pip's index can be reached; an environment of pre-commit is made with it."""
    try:
        with urllib.request.urlopen("https://pypi.org/simple/hatchling/", timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
