"""Configuration, suppressions, baseline and several targets at once, in every format; and a real program."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from click.testing import Result

from fuseguard.report.formats import FORMATS, OF_ONE_PROGRAM
from fuseguard.schemas import load_schema
from fuseguard_testkit.cli_fakes import SUPPRESSION, configure
from fuseguard_testkit.paths import DATA

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
UPGRADE = ("upgrade-check", "wrong.pt2", "clean.pt2", "--from")


Cli = Callable[..., Result]


# --- with everything else ---------------------------------------------------------------------------------


@pytest.fixture
def everything(gate: Cli) -> tuple[str, ...]:
    """The arguments of a check with findings of all kinds: new, suppressed, known, unused, stale and expired."""
    configure(
        'baseline = "known.json"\nexecutorch = ["1.4.1", "1.5.1"]'
        + SUPPRESSION.replace('reason = "', 'file = "wrong2.pt2"\nreason = "')
        + SUPPRESSION.replace("features.*", "nowhere.*")
        + SUPPRESSION
        + "until = 2020-02-29\n"
    )
    gate("baseline", "create", "wrong3.pt2", "wrong4.pt2")
    text = Path("known.json").read_text()
    Path("known.json").write_text(text.replace("wrong4.pt2", "clean.pt2"))
    return ("check", "wrong.pt2", "wrong2.pt2", "wrong3.pt2", "clean.pt2")


def test_everything_at_once_is_told_in_the_summary(gate: Cli, everything: tuple[str, ...]) -> None:
    result = gate(*everything)
    assert result.exit_code == 1
    for code in ("error[FU101]", "warning[SU001]", "warning[SU002]", "warning[SU003]"):
        assert result.output.count(code) == 1, code
    assert "1 error, 3 warnings, 0 notes in 52 nodes, 4 islands of 4 files; 1 suppressed, 1 in the baseline;" in (
        result.output
    )


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in OF_ONE_PROGRAM])
def test_every_format_takes_everything_at_once(gate: Cli, everything: tuple[str, ...], name: str) -> None:
    result = gate(*everything, "--output-format", name)
    assert result.exit_code == 1, result.output
    assert all(code in result.output for code in ("FU101", "SU001", "SU002", "SU003"))
    if name == "json":
        jsonschema.validate(json.loads(result.output), load_schema("json"))
    if name == "json-lines":
        for line in result.output.splitlines():
            jsonschema.validate(json.loads(line), load_schema("json-lines"))


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("--statistics",),
        ("--output-format", "concise"),
        ("--quiet",),
    ],
)
def test_colour_changes_no_content_of_any_of_it(
    gate: Cli, everything: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "4000")
    colourful = gate(*everything, *args, "--color", "always").output
    assert "\x1b[" in colourful
    assert ESCAPES.sub("", colourful) == gate(*everything, *args).output


def test_colour_changes_no_content_of_the_other_commands(gate: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "4000")
    for command in ((*UPGRADE, "1.4.1", "--to", "1.5.1"), ("baseline", "create", "wrong.pt2", "--force")):
        colourful = gate(*command, "--color", "always").output
        assert "\x1b[" in colourful
        assert ESCAPES.sub("", colourful) == gate(*command).output


def test_quiet_leaves_findings_about_the_gate_and_no_summary(gate: Cli, everything: tuple[str, ...]) -> None:
    output = gate(*everything, "--quiet").output
    assert "warning[SU001]" in output
    assert "in the baseline" not in output
    assert "targets; policy" not in output


@pytest.mark.skipif(sys.platform != "linux", reason="stages its files by forking")
def test_any_number_of_processes_gives_the_same(gate: Cli, everything: tuple[str, ...]) -> None:
    """A gate goes to other processes, and what was suppressed there is not unused here."""
    one, several = gate(*everything), gate(*everything, "-j", "3")
    assert (several.exit_code, several.output) == (one.exit_code, one.output)


# --- a real file, in a process of its own -----------------------------------------------------------------


def test_a_real_program_goes_through_the_gate_without_torch(tmp_path: Path) -> None:
    (tmp_path / "model.pt2").write_bytes((DATA / "conv_cat.pt2").read_bytes())
    (tmp_path / "pyproject.toml").write_text('[tool.fuseguard]\nexecutorch = "1.5.1"\nbaseline = "known.json"\n')

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        code = (
            "import sys; from fuseguard.cli.main import main\n"
            "try:\n    main()\nfinally:\n    assert not {'torch', 'rich'} & set(sys.modules)"
        )
        return subprocess.run(
            [sys.executable, "-c", code, *args], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    assert run("check", "model.pt2", "--no-baseline").returncode == 1
    assert run("baseline", "create", "model.pt2").returncode == 0
    checked = run("check", "model.pt2")
    assert (checked.returncode, "in the baseline" in checked.stdout) == (0, True), checked.stderr
    upgraded = run("upgrade-check", "model.pt2", "--from", "1.4.1", "--to", "1.5.1")
    assert (upgraded.returncode, "exact -> wrong" in upgraded.stdout) == (1, True), upgraded.stderr
