"""``fuseguard view``: the page is written, and a browser is asked to open it; the browser here is a function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import fuseguard.cli.view as view

Cli = Callable[..., Result]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that were opened."""
    addresses: list[str] = []
    monkeypatch.setattr(view.webbrowser, "open", lambda address: addresses.append(address) or True)
    return addresses


def test_it_opens_a_temporary_page_that_only_the_user_can_read(cli: Cli, opened: list[str]) -> None:
    result = cli("view", "wrong.pt2")
    assert result.exit_code == 0, "findings are no failure of looking at them"
    path = Path(result.output.strip())
    assert opened == [path.as_uri()]
    assert path.read_text() == cli("check", "wrong.pt2", "--output-format", "html").output
    assert path.parent.stat().st_mode & 0o077 == 0


def test_it_writes_to_the_file_that_is_named_and_opens_nothing(cli: Cli, opened: list[str], tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    result = cli("view", "wrong.pt2", "--no-open", "-o", str(path))
    assert (result.exit_code, result.output) == (0, f"{path}\n")
    assert path.read_text().startswith("<!doctype html>")
    assert opened == []


def test_without_a_browser_it_says_so(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view.webbrowser, "open", lambda address: False)
    result = cli("view", "wrong.pt2")
    assert result.exit_code == 0
    assert "open the file in one" in result.stderr


def test_what_could_not_be_read_is_told_and_is_the_exit_code(cli: Cli, opened: list[str]) -> None:
    result = cli("view", "wrong.pt2", "unreadable.pt2")
    assert result.exit_code == 3
    assert "no program in it" in result.stderr
    assert len(opened) == 1


def test_it_overwrites_no_program(cli: Cli, opened: list[str]) -> None:
    result = cli("view", "wrong.pt2", "-o", "other.pt2")
    assert result.exit_code == 2
    assert "would overwrite" in result.output
    assert opened == []
