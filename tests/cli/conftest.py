"""Runs the command line in this process, on programs that stand in for files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fuseguard.engine import Rule
from fuseguard_testkit.cli_fakes import fake_read, registry_of


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables of whoever runs the tests must not change what they see."""
    for name in ("NO_COLOR", "FORCE_COLOR", "FUSEGUARD_DEBUG", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs ``fuseguard ARGS...`` on the release 1.5.1; files are those of ``fake_read``."""
    monkeypatch.setattr("fuseguard.readers.open.read", fake_read)

    def run(*args: str) -> Result:
        from fuseguard.cli.main import cli as group

        if args[:1] == ("check",) and "--executorch" not in args and "--help" not in args:
            args = (*args, "--executorch", "1.5.1")
        return CliRunner().invoke(group, args, prog_name="fuseguard")

    return run


@pytest.fixture
def use_rules(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes the given rule classes the only ones that there are."""

    def use(*rules: type[Rule]) -> None:
        registry = registry_of(*rules)
        for command in ("baseline", "check", "diff", "explain", "rules", "upgrade_check", "version"):
            monkeypatch.setattr(f"fuseguard.cli.{command}.load_registry", lambda: registry)

    return use


@pytest.fixture
def fresh_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forgets the rule packs that a test imports from its folder: the next one's have the same names."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs ``fuseguard ARGS...`` in an empty folder, where no executorch is installed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fuseguard.readers.open.read", fake_read)
    monkeypatch.setattr("fuseguard.target.version_of", lambda name: "")

    def run(*args: str) -> Result:
        from fuseguard.cli.main import cli as group

        return CliRunner().invoke(group, args, prog_name="fuseguard")

    return run
