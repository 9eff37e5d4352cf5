"""The reference of the command line, made from the commands' own help."""

from __future__ import annotations

from collections.abc import Iterator

import click

from fuseguard.cli.main import cli

_WIDTH = 100  # columns of help


def cli_page() -> str:
    """Every command's help as the terminal shows it, in Markdown."""
    lines = [
        "# Command line", "",
        "What `fuseguard COMMAND --help` prints. Every command ends with an exit code:", "",
        "| exit code | meaning |", "| --- | --- |",
        "| 0 | nothing at or above `--fail-on`; for other commands: success |",
        "| 1 | findings; each command says what counts as one |",
        "| 2 | usage, configuration, rule pack or internal error |",
        "| 3 | a file could not be read or was refused |", "",
        "If several apply, the exit code is the largest. `NO_COLOR` and `FORCE_COLOR` are respected. "
        "`FUSEGUARD_DEBUG=1` adds the traceback to an internal error.", "",
    ]  # fmt: skip
    for context in _contexts(_context(cli, "fuseguard", None)):
        lines += [f"## {context.command_path}", "", "```text", context.get_help(), "```", ""]
    return "\n".join(lines)


def _contexts(context: click.Context) -> Iterator[click.Context]:
    """The command and all below it."""
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            assert command is not None
            yield from _contexts(_context(command, name, context))


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    settings = {**command.context_settings, "terminal_width": _WIDTH, "max_content_width": _WIDTH}
    return click.Context(command, parent=parent, info_name=name, **settings)
