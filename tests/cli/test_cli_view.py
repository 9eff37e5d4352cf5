"""``fuseguard view``: the page is written, and a browser is asked to open it; the browser here is a function."""

from __future__ import annotations

import json
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


def test_the_graph_is_written_for_model_explorer(cli: Cli, opened: list[str], tmp_path: Path) -> None:
    page, graph = tmp_path / "report.html", tmp_path / "graph.json"
    result = cli("view", "wrong.pt2", "--no-open", "-o", str(page), "--graph-json", str(graph))
    assert (result.exit_code, result.output) == (0, f"{page}\n{graph}\n")
    data = json.loads(graph.read_text())
    assert data["label"] == "wrong.pt2"
    assert data["graphs"][0]["id"] == "graph"


def test_the_graph_json_is_about_one_program_and_overwrites_none(cli: Cli, opened: list[str], tmp_path: Path) -> None:
    for arguments, told in (
        (("wrong.pt2", "other.pt2", "--graph-json", str(tmp_path / "g.json")), "one program"),
        (("wrong.pt2", "--graph-json", "other.pt2"), "would overwrite"),
        (("wrong.pt2", "--graph-json", "x", "-o", "x"), "one file"),
    ):
        result = cli("view", *arguments)
        assert result.exit_code == 2
        assert told in result.output
    assert opened == []


def placement_json(path: Path, **changes: object) -> str:
    reason = {"kind": "support", "check": "RankCheck", "text": "rank 7"}
    relu = {"node": "aten_relu_default", "before": "relu", "graph": "", "quantizer": False, "reasons": [reason]}
    path.write_text(json.dumps({"left_out": [relu], "vela": None, **changes}))
    return str(path)


def test_the_ops_of_a_placement_are_marked_in_the_graph(cli: Cli, opened: list[str], tmp_path: Path) -> None:
    page, placed = tmp_path / "report.html", placement_json(tmp_path / "p.json")
    result = cli("view", "wrong.pt2", "--no-open", "-o", str(page), "--placement", placed)
    assert (result.exit_code, result.output) == (0, f"{page}\n")
    assert "RankCheck: rank 7" in page.read_text()
    none = placement_json(tmp_path / "none.json", left_out=[])
    assert cli("view", "wrong.pt2", "--no-open", "-o", str(page), "--placement", none).exit_code == 0
    cli("view", "wrong.pt2", "--no-open", "-o", str(page))
    assert "RankCheck" not in page.read_text()


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"left_out": [1]}', '{"left_out": [{"reasons": [1]}]}', "\x00", "[" * 10_000]
)
def test_another_file_is_no_placement(cli: Cli, opened: list[str], tmp_path: Path, content: str) -> None:
    (tmp_path / "p.json").write_text(content)
    result = cli("view", "wrong.pt2", "--no-open", "--placement", str(tmp_path / "p.json"))
    assert result.exit_code == 3
    assert "is not the JSON of a placement" in result.output
    assert cli("view", "wrong.pt2", "--no-open", "--placement", str(tmp_path / "none.json")).exit_code == 3


def test_a_placement_of_another_program_is_warned_about(cli: Cli, opened: list[str], tmp_path: Path) -> None:
    reason = {"kind": "support", "check": "RankCheck", "text": "rank 7"}
    item = {"node": "n", "before": "of_another", "graph": "", "reasons": [reason]}
    placed = placement_json(tmp_path / "p.json", left_out=[item])
    result = cli("view", "wrong.pt2", "--no-open", "--placement", placed)
    assert "none of its ops is in wrong.pt2" in result.output
    assert cli("view", "wrong.pt2", "other.pt2", "--placement", placed).exit_code == 2


def test_of_a_file_that_cannot_be_read_there_is_no_graph(cli: Cli, opened: list[str], tmp_path: Path) -> None:
    result = cli("view", "unreadable.pt2", "--no-open", "-o", str(tmp_path / "p"), "--graph-json", str(tmp_path / "g"))
    assert result.exit_code == 3
    assert not (tmp_path / "g").exists()
