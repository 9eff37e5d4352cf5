"""``fuseguard init``: writes what is missing, keeps what is there, and does nothing the second time."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fuseguard.cli.main import cli as group
from fuseguard.gate import discovery
from fuseguard_testkit.paths import DATA


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(discovery, "installed_from", lambda: None)
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q", "-b", "main"], check=True)
    Path("models").mkdir()
    shutil.copy(DATA / "conv_cat.pt2", "models/a.pt2")
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(group, arguments, prog_name="fuseguard")


def files() -> dict[str, str]:
    return {
        str(path): path.read_text()
        for path in sorted(Path().rglob("*"))
        if path.is_file() and path.suffix != ".pt2" and ".git" not in path.parts
    }


INIT = ("init", "--target", "vgf", "--executorch", "1.5.1", "--source", "acme/fuseguard@v1", "--baseline")


def test_what_is_written_makes_a_gate_that_passes_until_something_is_new() -> None:
    result = run(*INIT)
    assert result.exit_code == 0, result.output
    assert list(files()) == [
        ".github/workflows/fuseguard.yml", ".pre-commit-config.yaml", "fuseguard-baseline.json", "fuseguard.toml"
    ]  # fmt: skip
    assert result.output.endswith("Next: fuseguard check models/*.pt2\n")
    assert run("check", "models/a.pt2").exit_code == 0
    assert run("check", "models/a.pt2", "--no-baseline").exit_code == 1


def test_a_second_run_changes_nothing() -> None:
    Path("pyproject.toml").write_text("[project]\nname = 'x'\n")
    run(*INIT)
    before = files()
    assert "[tool.fuseguard]" in before["pyproject.toml"]
    assert "fuseguard.toml" not in before
    result = run(*INIT)
    assert result.exit_code == 0
    assert files() == before
    assert "Next:" not in result.output
    for note in ("has a configuration already", "exists;", "has the hook already", "checks with fuseguard already"):
        assert note in result.output


def test_a_dry_run_shows_all_and_writes_nothing() -> None:
    result = run(*INIT, "--dry-run")
    assert result.exit_code == 0
    assert files() == {}
    for text in ('target = "vgf"', "id: fuseguard", "uses: acme/fuseguard@v1", "1 finding", "Nothing was written"):
        assert text in result.output
    run(*INIT)
    assert files()


def test_without_findings_there_is_no_baseline() -> None:
    shutil.copy(DATA / "linear.pt2", "models/a.pt2")
    result = run(*INIT)
    assert result.exit_code == 0, result.output
    assert "nothing was found" in result.output
    assert "fuseguard-baseline.json" not in files()
    assert "baseline" not in files()["fuseguard.toml"]


def test_a_program_that_cannot_be_read_stops_it() -> None:
    Path("models/b.pt2").write_text("no program")
    result = run(*INIT)
    assert result.exit_code == 3
    assert "b.pt2" in result.output
    assert files() == {}


def test_an_existing_configuration_decides_and_is_told_what_is_missing() -> None:
    Path("fuseguard.toml").write_text('target = "TOSA-1.0+INT"\n')
    result = run("init", "--baseline")
    assert files()["fuseguard.toml"] == 'target = "TOSA-1.0+INT"\n'
    assert 'baseline = "fuseguard-baseline.json"' in result.output
    assert "target: that of the configuration" in result.output


def test_parts_can_be_left_out_and_without_a_source_the_hook_is_local() -> None:
    result = run("init", "--skip", "config")
    assert result.exit_code == 0
    assert list(files()) == [".pre-commit-config.yaml"]
    assert "repo: local" in files()[".pre-commit-config.yaml"]
    assert "--source OWNER/NAME@REVISION" in result.output


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--target", "ethos"), "ethos"),
        (("--executorch", "x"), "is not a version"),
        (("--source", "fuseguard"), "OWNER/NAME@REVISION"),
        (("--skip", "all"), "'all' is not one of"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_written(arguments: tuple[str, ...], text: str) -> None:
    result = run("init", *arguments)
    assert (result.exit_code, text in result.output) == (2, True), result.output
    assert files() == {}
