"""``fuseguard version``: what a bug report needs, even from a broken installation."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from importlib import metadata

import pytest
from click.testing import Result

import fuseguard
from fuseguard.engine import Registry, RulePackError
from fuseguard.target import MEASURED_RELEASES

Cli = Callable[..., Result]


def test_version_names_tool_python_packs_and_releases(cli: Cli, registry: Registry) -> None:
    result = cli("version")
    assert result.exit_code == 0
    assert result.output.startswith(f"fuseguard {fuseguard.__version__}\n")
    for fact in (platform.python_version(), ", ".join(MEASURED_RELEASES), *(rule.code for rule in registry.rules)):
        assert fact in result.output


def test_packages_are_looked_up_and_not_imported(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """No such torch is importable here: its version can only come from metadata."""
    known = {"torch": "9.9.9"}
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: known[name] if name in known else real(name))
    document = json.loads(cli("version", "--output-format", "json").output)
    assert document["packages"]["torch"] == "9.9.9"
    assert set(document["packages"]) == {"executorch", "torch", "torchao", "tosa-tools"}
    assert document["reads"].keys() == {"pt2"}
    assert document["report_schema"] == document["schema_version"] == "1.1"


def test_a_broken_rule_pack_is_shown_and_exits_with_2(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Registry:
        raise RulePackError("rule pack 'x' failed to import")

    monkeypatch.setattr("fuseguard.cli.version.load_registry", broken)
    result = cli("version")
    assert result.exit_code == 2
    assert "error: rule pack 'x' failed to import" in result.output
    assert "python" in result.output
    assert json.loads(cli("version", "--output-format", "json").output)["rule_packs"] == []


def test_version_option(cli: Cli) -> None:
    assert cli("--version").output == f"fuseguard {fuseguard.__version__}\n"


def test_a_broken_rule_pack_stops_a_check_with_2(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the rules must never pass for all of them."""

    def broken() -> Registry:
        raise RulePackError("rule pack 'x' failed to import")

    monkeypatch.setattr("fuseguard.cli.check.load_registry", broken)
    result = cli("check", "clean.pt2")
    assert result.exit_code == 2
    assert "rule pack 'x' failed to import" in result.output
    assert "internal error" not in result.output
