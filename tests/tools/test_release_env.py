"""Which releases are known, and the overload that old ones need; the environment is a folder with a shell script.

Protects: an environment that looks finished and cannot import the backend.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from release_env import BACKEND_IMPORT, EnvError, HeavyEnv, known_releases, main

CONSTRAINTS = ("executorch-1.9.0", "executorch-1.10.0", "executorch-1.2.0", "core")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FUSEGUARD_ENVS", str(tmp_path / "envs"))
    for name in CONSTRAINTS:
        path = tmp_path / "constraints" / f"{name}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"# {name}\ntorch==2.13.0\n")
    return tmp_path


def fake_env(checkout: Path, said: str) -> HeavyEnv:
    """A heavy environment whose Python fails with ``said`` until the overload is installed."""
    heavy = HeavyEnv.of("1.2.0", checkout)
    heavy.packages.mkdir(parents=True)
    heavy.python.parent.mkdir()
    overload = heavy.packages / "_fuseguard_torch_overload.pth"
    heavy.python.write_text(
        f'#!/bin/sh\n[ "$1" = -c ] && [ "$2" = "{BACKEND_IMPORT}" ] || exit 3\n'
        f"[ -f '{overload}' ] && exit 0\necho \"{said}\" >&2\nexit 1\n"
    )
    heavy.python.chmod(0o755)
    return heavy


def test_known_releases_are_those_with_constraints(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert known_releases(checkout) == ("1.10.0", "1.9.0", "1.2.0")
    assert main(["--list", "--checkout", str(checkout)]) == 0
    assert capsys.readouterr().out == "1.10.0 1.9.0 1.2.0\n"
    assert main(["1.3.1", "--checkout", str(checkout)]) == 1
    assert "known are core, 1.10.0, 1.9.0, 1.2.0" in capsys.readouterr().err


def test_the_overload_is_defined_where_the_import_misses_it(checkout: Path) -> None:
    said = "AttributeError: The underlying op of 'aten.transpose' has no overload name 'Dimname'"
    heavy = fake_env(checkout, said)
    heavy._import_backend()
    assert (heavy.packages / "_fuseguard_torch_overload.py").is_file()


def test_any_other_failure_ends_the_build(checkout: Path) -> None:
    heavy = fake_env(checkout, "ModuleNotFoundError: No module named 'torchao'")
    with pytest.raises(EnvError, match="No module named 'torchao'"):
        heavy._import_backend()
    assert not list(heavy.packages.iterdir())


def test_the_zoo_is_its_release_with_more_packages(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its overlay is of no use without them: what is missing is said, and is no release's own constraints."""
    assert main(["zoo-1.9.0", "--checkout", str(checkout), "--print"]) == 1
    assert "there is no constraints/zoo-1.9.0.txt" in capsys.readouterr().err
    (checkout / "constraints" / "zoo-1.9.0.txt").write_text("timm==1.0.31\n")
    zoo = HeavyEnv.of("zoo-1.9.0", checkout)
    assert zoo.constraints.name == "zoo-1.9.0.txt"
    assert zoo.path.name.startswith("zoo-1.9.0-")
    assert main(["zoo-1.9.0", "--checkout", str(checkout), "--print"]) == 1
    assert "the environment zoo-1.9.0 is not built" in capsys.readouterr().err
    assert known_releases(checkout) == ("1.10.0", "1.9.0", "1.2.0")
