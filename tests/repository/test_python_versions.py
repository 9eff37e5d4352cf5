"""tools/python_versions.py: it finds the interpreters that are there, and a failure on one of them is a failure.

Protects: a CI that is green because it tested on no other Python and did not say so.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from fuseguard_testkit.paths import ROOT


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import python_versions

    return python_versions


def interpreter(path: Path, says: str, exit_code: int = 0) -> Path:
    """What stands in for an installed Python."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {says}\nexit {exit_code}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing on PATH but a shell, and with an empty pyenv."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    return tmp_path


def test_pythons_are_found_on_path_and_in_pyenv(tool: ModuleType, installed: Path) -> None:
    assert tool.find("3.12") is None
    old = interpreter(installed / "pyenv/versions/3.12.1/bin/python", "3.12.1")
    assert tool.find("3.12") == tool.Interpreter(old, "3.12.1")
    shim = interpreter(installed / "bin/python3.12", "pyenv: command not found", 127)
    assert tool.find("3.12").path == old, "a shim that runs nothing is passed over"
    interpreter(shim, "3.12.7")
    assert tool.find("3.12") == tool.Interpreter(shim, "3.12.7")
    assert tool.find("3.1") is None
    interpreter(installed / "bin/python3.13", "3.11.7")
    assert tool.find("3.13") is None, "the name alone says nothing"


def test_what_is_not_installed_is_named(
    tool: ModuleType, installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tool.main([]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == [f"Python {series}: not installed, so it is not tested" for series in tool.VERSIONS]


@pytest.mark.parametrize(("body", "code", "words"), [("pass", 0, "ok, 1 passed"), ("assert 0", 1, "FAILED, 1 failed")])
def test_a_failure_on_one_python_is_a_failure(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    body: str, code: int, words: str,
) -> None:  # fmt: skip
    (tmp_path / "test_it.py").write_text(f"def test_it():\n    {body}\n")
    monkeypatch.setattr(tool, "find", lambda series: tool.Interpreter(Path(sys.executable), f"{series}.0"))
    monkeypatch.setattr(tool, "environment", lambda found: found.path)
    assert tool.main(["3.12", "--", str(tmp_path / "test_it.py")]) == code
    said = capsys.readouterr().out
    assert said.startswith("Python 3.12: 3.12.0\n")
    assert f"Python 3.12.0: {words}" in said
    assert ("def test_it" in said) is bool(code), "all of the output, but only of a failure"


def test_an_environment_that_cannot_be_built_is_a_failure(
    tool: ModuleType, installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    interpreter(installed / "bin/python3.12", "3.12.7", 0)
    (installed / "bin/python3.12").write_text('#!/bin/sh\n[ "$1" = -c ] && echo 3.12.7 && exit 0\nexit 1\n')
    assert tool.main(["3.12"]) == 1
    assert "Python 3.12.7: FAILED, no environment" in capsys.readouterr().out


def test_all_versions_that_the_package_supports_are_tested_and_named(tool: ModuleType) -> None:
    pyproject = (ROOT / "pyproject.toml").read_text()
    supported = re.findall(r"Python :: (3\.\d+)", pyproject)
    assert sorted((*tool.VERSIONS, "3.11")) == sorted(supported)
    readme = (ROOT / "README.md").read_text().partition("## Supported versions")[2].partition("\n## ")[0]
    assert [version for version in supported if version not in readme] == []
    assert "make test-pythons" in (ROOT / ".ci" / "run").read_text()


def test_they_are_the_tests_of_make_test_fast(tool: ModuleType) -> None:
    (marks,) = re.findall(r'^test-fast:.*?-m "([^"]+)"', (ROOT / "Makefile").read_text(), re.MULTILINE | re.DOTALL)
    assert marks == tool.MARKS
    assert [path for path in tool.LEFT_OUT if not (ROOT / path).exists()] == []
