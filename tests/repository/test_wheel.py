"""The wheel that is built: it holds all of the package, the JSON Schema too, and works on its own.

Protects: a file that an editable install finds in the checkout, and that nobody gets who installs fuseguard.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from fuseguard.schemas import load_schema
from fuseguard_testkit.paths import DATA, ROOT

pytest.importorskip("hatchling")



@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what pip would put into site-packages."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run(installed: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, env=environment, cwd=installed)


def test_it_holds_every_file_of_both_packages_and_nothing_else(wheel: Path) -> None:
    packages = (ROOT / "verifier" / "fuseguard", ROOT / "rules" / "fuseguard_rules")
    ours = {
        path.relative_to(package.parent).as_posix()
        for package in packages
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        there = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert there == ours
    assert {"fuseguard/py.typed", "fuseguard/schemas/check.schema.json"} <= there


def test_the_source_distribution_holds_what_pyproject_names(tmp_path: Path) -> None:
    include = re.search(r"^include = \[(.*?)\]$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE | re.DOTALL)
    assert include is not None
    named = set(re.findall(r'"([^"]+)"', include[1]))
    assert {"CONTRIBUTING.md", "SECURITY.md", ".editorconfig", ".pre-commit-config.yaml", "tests"} <= named
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (built,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(built) as archive:
        there = {Path(name).parts[1] for name in archive.getnames() if len(Path(name).parts) > 1}
    assert there == named | {"PKG-INFO", "pyproject.toml", ".gitignore"}


def test_it_announces_command_rules_and_pytest_plug_in(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        entries = configparser.ConfigParser()
        entries.read_string(archive.read(name).decode())
    assert dict(entries["console_scripts"]) == {"fuseguard": "fuseguard.cli.main:main"}
    assert dict(entries["fuseguard.rules"]) == {"fuseguard": "fuseguard_rules"}
    assert dict(entries["pytest11"]) == {"fuseguard": "fuseguard.pytest_plugin"}


def test_what_is_installed_prints_the_schema_and_checks_a_program(installed: Path) -> None:
    where = run(
        installed, "-c", "import fuseguard, fuseguard_rules; print(fuseguard.__file__, fuseguard_rules.__file__)"
    )
    assert all(path.startswith(str(installed)) for path in where.stdout.split()), "not the checkout's"
    done = run(installed, "-m", "fuseguard.cli.main", "schema", "json")
    assert (done.returncode, json.loads(done.stdout)) == (0, load_schema("json"))
    done = run(installed, "-m", "fuseguard.cli.main", "check", str(DATA / "conv_cat.pt2"), "--executorch", "1.5.1")
    assert (done.returncode, "error[FU101]" in done.stdout) == (1, True), done.stderr


def test_the_schema_is_read_from_the_wheel_itself(wheel: Path) -> None:
    """Some tools run packages without unpacking them."""
    code = "import fuseguard.schemas as s; print(s.__file__); print(s.load_schema('json-lines')['$ref'])"
    environment = {**os.environ, "PYTHONPATH": str(wheel)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.startswith(str(wheel)), done.stderr
    assert done.stdout.splitlines()[1] == "#/$defs/record"
