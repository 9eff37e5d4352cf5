"""What a cold check imports: a number of modules, and none that it has no use for.

Protects: the time of a check of a small file, two thirds of which is spent on imports. Modules are counted and not
seconds, which other processes change. Raise a limit only for a module that every check needs.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from fuseguard_testkit.cli_process import environment
from fuseguard_testkit.paths import DATA

#: Modules that ``-X importtime`` lists, Python's own start among them, and those of fuseguard; rules are not counted,
#: since each is needed.
ALL, OWN = 322, 169
UNUSED = (
    "concurrent.futures", "csv", "difflib", "email", "fuseguard.executorch", "fuseguard.readers.artifact",
    "fuseguard.readers.etrecord", "fuseguard.readers.flatbuffer", "fuseguard.readers.legacy", "fuseguard.readers.tosa",
    "fuseguard.readers.vgf", "fuseguard.sweep", "fuseguard_rules.examples", "importlib.metadata", "importlib.resources",
    "logging", "multiprocessing", "networkx", "numpy", "packaging.specifiers", "rich", "socket", "sqlite3", "tempfile",
    "tomllib", "torch", "zipfile",
)  # fmt: skip


def imported(*arguments: str) -> list[str]:
    """The modules that ``fuseguard check`` imports, in a process without a configuration."""
    command = [sys.executable, "-X", "importtime", "-m", "fuseguard.cli.main", "check", "--no-config", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    assert run.returncode in (0, 1), run.stderr[-1000:]
    lines = (line.rpartition("|")[2].strip() for line in run.stderr.splitlines() if line.startswith("import time:"))
    return [name for name in lines if name != "imported package"]


@pytest.fixture(scope="module", params=["conv_cat", "linear"])
def modules(request: pytest.FixtureRequest) -> list[str]:
    """Of a program with a finding, which needs more, and of one without."""
    return imported(str(DATA / f"{request.param}.pt2"))


def test_a_cold_check_keeps_to_its_budget(modules: list[str]) -> None:
    counted = [name for name in modules if not name.startswith("fuseguard_rules")]
    own = [name for name in counted if name.startswith("fuseguard")]
    assert len(own) <= OWN, sorted(own)
    assert len(counted) <= ALL, sorted(counted)


def test_a_cold_check_imports_nothing_that_it_has_no_use_for(modules: list[str]) -> None:
    found = {name for name in modules for unused in UNUSED if name == unused or name.startswith(f"{unused}.")}
    assert not found


def test_other_formats_are_imported_where_there_are_files_of_them() -> None:
    """Otherwise, the list of unused modules would hold for a reader that is never found."""
    names = imported(str(DATA / "lowered.etrecord"))
    assert {"fuseguard.readers.etrecord", "fuseguard.readers.tosa"} <= set(names)
