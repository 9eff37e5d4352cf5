"""Manifests and models for the tests of ``fuseguard sweep``, and what is in its store."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

from fuseguard_testkit.acting_pack import acting, installed
from fuseguard_testkit.cli_process import environment
from fuseguard_testkit.paths import DATA

COMMAND = [sys.executable, "-m", "fuseguard.cli.main", "sweep"]

#: Programs that are read and checked in milliseconds, one with an error, one clean.
PROGRAMS = ("conv_cat.pt2", "linear.pt2")


def models(folder: Path, number: int) -> None:
    """Put ``number`` programs into ``folder``/models, in turn one with an error and a clean one."""
    (folder / "models").mkdir(exist_ok=True)
    for index in range(number):
        shutil.copy(DATA / PROGRAMS[index % len(PROGRAMS)], folder / "models" / f"m{index:04}.pt2")


def manifest(
    folder: Path, steps: str = '"check"', more: str = "", releases: str = '"1.5.1"', targets: str = '"TOSA-1.0+INT"'
) -> Path:
    """A manifest for all models of ``folder``."""
    path = folder / "sweep.toml"
    path.write_text(
        f"steps = [{steps}]\ntargets = [{targets}]\nreleases = [{releases}]\n{more}\n"
        '[[models]]\nfiles = "models/*.pt2"\n'
    )
    return path


def stored(path: Path) -> list[tuple[str, str, str, str]]:
    """Model, step, status and outcome of each row, in order."""
    connection = sqlite3.connect(path)
    try:
        rows = connection.execute("SELECT model, step, status, outcome FROM results ORDER BY model, step").fetchall()
    finally:
        connection.close()
    return rows


def statuses(path: Path) -> Counter[str]:
    """How often each status is in the store."""
    return Counter(status for _, _, status, _ in stored(path))


def pack(folder: Path, act: str) -> dict[str, str]:
    """The environment of a process in which a rule pack that does ``act`` is installed."""
    return installed(folder, acting(act))


def sweep(path: Path, *args: str, variables: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``fuseguard sweep`` on a manifest."""
    return subprocess.run(
        [*COMMAND, str(path), *args], capture_output=True, text=True, env=variables or environment(), timeout=600
    )
