"""``--help`` of every command: it has examples, and they work.

Protects: help that needs the documentation, and examples that a changed option has made wrong.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from fuseguard.cli.main import COMMANDS, cli
from fuseguard_testkit.paths import DATA

#: These lower programs, so their examples are parsed and not run.
WITH_TORCH = {"evaluate", "placement", "prove", "reduce", "repair", "selftest"}
#: test_cli_rule_packs runs it over all installed packs, which takes seconds.
ELSEWHERE = ("test-rules",)
#: Groups do nothing themselves, and theirs are the examples.
EPILOGS = ["", *COMMANDS]


def all_commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            below = command.get_command(click.Context(command), name)
            assert below is not None
            yield from all_commands(below, (*path, name))


def help_of(*path: str) -> str:
    return CliRunner().invoke(cli, [*path, "--help"], prog_name="fuseguard", terminal_width=100).output


def examples(name: str) -> list[str]:
    """The command lines in the help of a command, without the program's name."""
    text = help_of(*([name] if name else [])).partition("Examples:")[2]
    found = re.findall(r"^\s+fuseguard (\S.*)$", text, re.MULTILINE)
    return [line.partition(" > ")[0] for line in found]


ALL_EXAMPLES = [pytest.param(line, id=line) for name in EPILOGS for line in dict.fromkeys(examples(name))]


@pytest.mark.parametrize("name", EPILOGS)
def test_every_command_has_examples(name: str) -> None:
    text = help_of(*([name] if name else []))
    assert "Examples:" in text
    if name not in ("completion",):  # its examples are lines for a shell's start-up file
        assert examples(name), text
    own = [line for line in examples(name) if not name or line.split()[0] == name]
    assert own or name == "completion"


@pytest.mark.parametrize("path", [" ".join(path) for path, _ in all_commands(cli)])
def test_every_command_and_option_is_explained(path: str) -> None:
    command = dict(all_commands(cli))[tuple(path.split())]
    assert (command.help or "").strip(), "what it does"
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert (parameter.help or "").strip(), parameter.name


def test_short_texts_agree() -> None:
    """--help of the group imports no command, so it has texts of its own; they must be the commands'."""
    told = {name: command.short_help for (name, *rest), command in list(all_commands(cli))[1:] if not rest}
    assert told == COMMANDS


@pytest.mark.parametrize("path", [" ".join(path) for path, _ in all_commands(cli)])
def test_help_fits_a_terminal(path: str) -> None:
    text = CliRunner().invoke(cli, [*path.split(), "--help"], prog_name="fuseguard", terminal_width=80).output
    assert [line for line in text.splitlines() if len(line) > 80] == []


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_imports: None) -> Path:
    """The files that the examples speak of."""
    for name in ("model.pt2", "a.pt2", "b.pt2", "models/model.pt2", "before.pt2", "after.pt2"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(DATA / "conv_cat.pt2", tmp_path / name)
    shutil.copy(DATA / "several.etrecord", tmp_path / "model.etrecord")
    shutil.copy(DATA / "guarded.pte", tmp_path / "model.pte")
    shutil.copy(DATA / "dropout.vgf", tmp_path / "delegate.vgf")
    (tmp_path / "sweep.toml").write_text(
        'steps = ["check"]\ntargets = "vgf"\nreleases = "1.5.1"\n[[models]]\nfiles = "models/*.pt2"\n'
    )
    (tmp_path / "placement.json").write_text('{"left_out": [], "vela": null}')
    for name in ("src", "my_package"):
        (tmp_path / name).mkdir()
    (tmp_path / "my_package" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    assert runner.invoke(cli, ["baseline", "create", "model.pt2", "--no-config"]).exit_code == 0
    assert runner.invoke(cli, ["new-rule", "PA199", "some-fault"]).exit_code == 0
    assert runner.invoke(cli, ["new-rule", "PA198", "some-other", "--pack", "my_package/rules"]).exit_code == 0
    return tmp_path


@pytest.mark.parametrize("line", ALL_EXAMPLES)
def test_examples_work(line: str, folder: Path) -> None:
    args: list[str] = []
    for part in shlex.split(line):
        args += sorted(str(path.relative_to(folder)) for path in folder.glob(part)) if "*" in part else [part]
    # --cost lowers the program, --scheduler needs one.
    if args[0] in WITH_TORCH or tuple(args) == ELSEWHERE or {"--cost", "--scheduler"} & set(args):
        command = dict(all_commands(cli))[(args[0],)]
        command.make_context(args[0], args[1:])  # raises for what it does not understand
        return
    if args[:2] == ["baseline", "create"]:
        (folder / "fuseguard-baseline.json").unlink()
    result = CliRunner().invoke(cli, args, prog_name="fuseguard")
    assert result.exit_code in (0, 1), result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_the_command_alone_shows_the_first_steps() -> None:
    result = CliRunner().invoke(cli, [], prog_name="fuseguard")
    assert result.exit_code == 0
    assert {"check", "repair", "prove"} <= set(re.findall(r"^  fuseguard (\S+) ", result.output, re.MULTILINE))
    assert max(map(len, result.output.splitlines())) <= 80
    assert len(result.output.splitlines()) <= 15


def test_python_runs_the_package_as_the_command() -> None:
    made = subprocess.run([sys.executable, "-m", "fuseguard", "--version"], capture_output=True, text=True, check=True)
    assert made.stdout.startswith("fuseguard ")
