"""``fuseguard repair``: consent and paths first, nothing half-written, and what is written can be trusted."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Cli = Callable[..., Result]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.pt2"
    path.write_bytes(b"PK\x03\x04")
    return path


def test_without_trust_nothing_is_loaded(cli: Cli, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuseguard.cli.repair._repair", lambda *_: pytest.fail("went on without --trust"))
    result = cli("repair", str(model), "-o", str(model.with_name("out.pt2")))
    assert result.exit_code == 3
    assert "--trust" in result.output


def test_no_output_and_no_diff_is_a_usage_error(cli: Cli, model: Path) -> None:
    result = cli("repair", str(model), "--trust")
    assert result.exit_code == 2
    assert "-o OUT" in result.output


def test_an_existing_output_needs_force(cli: Cli, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.pt2"
    out.write_text("mine")
    result = cli("repair", str(model), "--trust", "-o", str(out))
    assert result.exit_code == 2
    assert "--force" in result.output
    assert out.read_text() == "mine"


def test_the_program_itself_is_never_written_over(cli: Cli, model: Path) -> None:
    result = cli("repair", str(model), "--trust", "--force", "-o", str(model))
    assert result.exit_code == 2
    assert "another file" in result.output


def test_missing_extras_name_the_command_that_installs_them(
    cli: Cli, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("torch", "fuseguard.cli.prove_inputs", "fuseguard.executorch", "fuseguard.executorch.judge"):
        monkeypatch.setitem(sys.modules, name, None)
    result = cli("repair", str(model), "--trust", "--diff")
    assert result.exit_code == 2
    assert "pip install 'fuseguard[prove]'" in result.output


# --- with torch -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def torch() -> Any:
    pytest.importorskip("executorch")
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def broken(torch: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """conv2d -> relu into a cat with a signed branch, saved."""
    from fuseguard.executorch.materialize import materialize
    from fuseguard_rules.fusion import examples

    program, _ = materialize(examples.OUT_OF_RANGE[0].graph())
    path = tmp_path_factory.mktemp("repair") / "broken.pt2"
    torch.export.save(program, path)
    return path


@pytest.mark.torch
@pytest.mark.slow
def test_a_repaired_file_checks_clean_and_repairs_no_further(
    cli: Cli, broken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tosa_reference_model")
    out = tmp_path / "repaired.pt2"
    result = cli("repair", str(broken), "--trust", "-o", str(out), "--diff")
    assert result.exit_code == 0, result.output
    assert "repaired[FU101]" in result.output
    assert "equal to the bit" in result.output
    assert "judge: exact" in result.output
    assert "+" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["repaired.pt2"], "no temporary file is left"

    import fuseguard
    from fuseguard.readers.pt2 import read_pt2

    monkeypatch.setattr("fuseguard.api.read", lambda path: (read_pt2(Path(path)), str(path)))  # the real one again
    assert not fuseguard.check(out, "TOSA-1.0+INT+FP").findings
    again = cli("repair", str(out), "--trust", "--diff", "--output-format", "json", "--no-prove")
    assert json.loads(again.stdout)["repairs"] == []


@pytest.mark.torch
@pytest.mark.slow
def test_a_diff_alone_writes_nothing(cli: Cli, broken: Path) -> None:
    before = sorted(broken.parent.iterdir())
    result = cli("repair", str(broken), "--trust", "--diff", "--no-prove")
    assert result.exit_code == 0, result.output
    assert "quantize_per_tensor" in result.output
    assert sorted(broken.parent.iterdir()) == before


@pytest.mark.torch
@pytest.mark.slow
def test_a_failed_write_leaves_nothing_behind(
    cli: Cli, broken: Path, tmp_path: Path, torch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(program: object, path: Path) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch.export, "save", fails)
    result = cli("repair", str(broken), "--trust", "--no-prove", "-o", str(tmp_path / "out.pt2"))
    assert result.exit_code == 2
    assert "disk full" in result.output
    assert list(tmp_path.iterdir()) == []
