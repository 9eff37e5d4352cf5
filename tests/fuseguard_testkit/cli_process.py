"""Runs ``fuseguard`` in a process of its own, on real files or on programs that stand in for files."""

from __future__ import annotations

import os
import subprocess
import sys

from fuseguard_testkit.paths import ROOT

#: ``fuseguard`` with files that hold what their names say.
STAGED = f"""
import sys
sys.path.append({str(ROOT / "tests")!r})
from fuseguard_testkit import cli_fakes
from fuseguard.readers import open as readers
readers.read = cli_fakes.fake_read
from fuseguard.cli.main import main
main()
"""


def environment(**changes: str) -> dict[str, str]:
    ours = ("NO_COLOR", "FORCE_COLOR", "FUSEGUARD_DEBUG")
    return {**{name: value for name, value in os.environ.items() if name not in ours}, **changes}


def fuseguard(*args: str, code: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    how = ["-c", code] if code else ["-m", "fuseguard.cli.main"]
    return subprocess.run(
        [sys.executable, *how, *args], capture_output=True, text=True, env=environment(**variables), timeout=60
    )
