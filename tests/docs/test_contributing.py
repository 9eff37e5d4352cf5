"""CONTRIBUTING.md and SECURITY.md: what they name exists.

Protects: instructions that a moved file or a renamed target has made wrong. Their commands are not run, since most of
them run the tests.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import click
import pytest

from fuseguard.cli.main import cli
from fuseguard_testkit.documents import Block, blocks, commands
from fuseguard_testkit.paths import ROOT

PAGES = [ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
#: In the environments of tools/release_env.py, by their distributions' pins.
PROGRAMS = {"pre-commit": "pre_commit"}
#: Not of this checkout: what tools/release_env.py makes in it, and outside of it.
MADE = (".venvs/", "~/")


def fault(command: str) -> str:
    """What is wrong with a command, "" if nothing is."""
    words = shlex.split(command)
    program, *rest = words
    environment = re.fullmatch(r"\.venvs/([^/]+)/bin/([\w-]+)", program)
    if environment:
        name, program = environment.groups()
        if not (ROOT / "constraints" / f"{name if name == 'core' else f'executorch-{name}'}.txt").is_file():
            return f"there are no constraints for {name}"
    if program == "make":
        unknown = [word for word in rest if "=" not in word and word not in TARGETS]
        return f"the Makefile has no target {unknown}" if unknown else ""
    if program == "fuseguard":
        return _fault_of_fuseguard(rest)
    if program in ("python", "python3"):
        if rest[0] == "-m":
            pins = [ROOT / "constraints" / "core.txt"]
            return "" if _is_pinned(rest[1], pins) and _exist(rest[2:]) else f"{rest[1:]} cannot be run"
        return "" if (ROOT / rest[0]).is_file() and rest[0].endswith(".py") else f"there is no {rest[0]}"
    if program in PROGRAMS:
        return "" if _is_pinned(PROGRAMS[program], [ROOT / "constraints" / "core.txt"]) else f"{program} is not pinned"
    return "" if program == "git" else f"nobody knows {program}"


def _fault_of_fuseguard(arguments: list[str]) -> str:
    name, *rest = arguments
    # Of the group's own settings: click keeps the help option that a command is first asked for, "-h" or not.
    group = click.Context(cli, **cli.context_settings)
    command = cli.get_command(group, name)
    if command is None:
        return f"fuseguard has no command {name}"
    try:
        command.make_context(name, rest, parent=group)
    except click.ClickException as error:
        return error.format_message()
    return ""


def _is_pinned(name: str, files: list[Path]) -> bool:
    return any(re.search(rf"^{re.escape(name)}==", path.read_text(), re.MULTILINE) for path in files)


def _exist(arguments: list[str]) -> bool:
    """Whether the paths among a command's arguments are there."""
    return all((ROOT / argument).exists() for argument in arguments if argument.startswith("tests"))


def paths(text: str) -> set[str]:
    """What a page names in backquotes and looks like a path of the checkout."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    named = re.findall(r"`([^`\s]+)`", prose)
    return {name for name in named if ("/" in name or "." in name[1:]) and re.fullmatch(r"[\w./<>~-]+", name)}


def there(path: str) -> bool:
    if path.startswith(MADE):
        return True
    if re.fullmatch(r"fuseguard(\.\w+)+", path):  # a name in Python
        module, _, name = path.rpartition(".")
        found = importlib.util.find_spec(module)
        return found is not None and hasattr(importlib.import_module(module), name)
    if re.fullmatch(r"torch(\.\w+)+", path):
        return True
    return any(ROOT.glob(re.sub(r"<[^>]+>", "*", path).rstrip("/")))


SHELL = blocks("sh", "console", "bash", "shell", pages=PAGES)


@pytest.mark.parametrize("block", [pytest.param(block, id=block.id) for block in SHELL])
def test_commands_are_there(block: Block) -> None:
    assert [f"{command.text}: {wrong}" for command in commands(block) if (wrong := fault(command.text))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_are_there(page: Path) -> None:
    assert [path for path in sorted(paths(page.read_text())) if not there(path)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target, _, heading in re.findall(r"\]\(([^)#]*)(#([^)]+))?\)", page.read_text()):
        assert (ROOT / target).is_file(), target
        headings = re.findall(r"^#+ (.*)$", (ROOT / target).read_text(), re.MULTILINE)
        assert not heading or heading in {title.lower().replace(" ", "-") for title in headings}, heading


def test_every_folder_of_tests_is_explained() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert [name for name in sorted(folders) if f"`tests/{name}/`" not in page] == []


def test_what_is_not_there_is_noticed() -> None:
    """Also that a parser which finds nothing would be."""
    assert len([command for block in SHELL for command in commands(block)]) > 15
    assert len(paths((ROOT / "CONTRIBUTING.md").read_text())) > 25
    for command, complaint in (
        ("make tset", "no target"),
        ("fuseguard chekc model.pt2", "no command chekc"),
        ("fuseguard selftest --slect OP702", "--slect"),
        (".venvs/0.7/bin/fuseguard rules", "no constraints for 0.7"),
        (".venvs/core/bin/python -m pytest tests/unit", "cannot be run"),
        (".venvs/core/bin/python -m setup", "cannot be run"),
        ("python3 tools/no_such.py", "no tools/no_such.py"),
        ("sudo make test", "nobody knows sudo"),
    ):
        assert complaint in fault(command), command
    assert paths("`tests/unit/` and `no_such.py` and `tests/x.py --flag` in `make`") == {"tests/unit/", "no_such.py"}
    assert not there("tests/unit/")
    assert not there("rules/<family>/x.py")
    assert not there("fuseguard.no_such")
