"""``fuseguard reduce``: consent and paths first, then the result. tests/plugin/test_reduce.py tests the search."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Cli = Callable[..., Result]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.pt2"
    path.write_bytes(b"PK\x03\x04")
    return path


def test_without_trust_nothing_is_loaded(cli: Cli, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuseguard.cli.reduce._reduce", lambda *_: pytest.fail("went on without --trust"))
    result = cli("reduce", str(file), "-o", str(file.with_name("small.pt2")))
    assert result.exit_code == 3
    assert "--trust" in result.output
    assert "runs code from the file" in result.output


def test_there_has_to_be_something_to_write(cli: Cli, file: Path) -> None:
    result = cli("reduce", str(file), "--trust")
    assert result.exit_code == 2
    assert "-o OUT or --script" in result.output


def test_no_file_is_written_over_unasked(cli: Cli, file: Path, tmp_path: Path) -> None:
    there = tmp_path / "bug.py"
    there.touch()
    for arguments, text in (
        (("-o", str(file), "--force"), "the program itself"),
        (("--script", str(there)), "--force"),
        (("-o", str(tmp_path / "none" / "small.pt2")), "no directory"),
        (("-o", str(tmp_path / "x"), "--script", str(tmp_path / "x")), "name two files"),
    ):
        result = cli("reduce", str(file), "--trust", *arguments)
        assert result.exit_code == 2
        assert text in " ".join(result.output.split())


def test_a_budget_of_nothing_is_refused(cli: Cli, file: Path) -> None:
    assert cli("reduce", str(file), "--trust", "-o", "x", "--budget", "0").exit_code == 2


def test_a_missing_file_exits_with_3(cli: Cli, tmp_path: Path) -> None:
    result = cli("reduce", str(tmp_path / "none.pt2"), "--trust", "-o", str(tmp_path / "x.pt2"))
    assert result.exit_code == 3
    assert "no such file" in result.output


def test_missing_extras_name_the_command_that_installs_them(
    cli: Cli, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(file, "w"):
        pass
    for name in ("torch", "fuseguard.cli.prove_inputs", "fuseguard.executorch"):
        monkeypatch.setitem(sys.modules, name, None)
    result = cli("reduce", str(file), "--trust", "-o", str(file.with_name("x.pt2")))
    assert result.exit_code == 2
    assert "pip install '.[prove]'" in result.output


@pytest.mark.torch
@pytest.mark.slow
def test_a_program_that_is_right_exits_with_1_and_nothing_is_written(cli: Cli, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("executorch.exir")
    pytest.importorskip("tosa_reference_model")
    from fuseguard.executorch.materialize import materialize
    from fuseguard_testkit.cli_fakes import conv_relu

    torch.export.save(materialize(conv_relu(-128))[0], tmp_path / "right.pt2")
    out = tmp_path / "small.pt2"
    result = cli("reduce", str(tmp_path / "right.pt2"), "--trust", "--target", "TOSA-1.0+INT", "-o", str(out))
    assert result.exit_code == 1
    assert "nothing to reduce: the lowering is exact" in result.output
    assert "--inputs" in result.output
    assert not out.exists()
