"""The reference of the command line, made from the commands' own help."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

from fuseguard.cli.main import cli

#: A block of help that must keep its lines: examples and the like.
_AS_IT_IS = "\b\n"


def cli_page() -> str:
    """Every command with its usage, a table of its options with an anchor for each, and its examples, in Markdown."""
    contexts = list(_contexts(_context(cli, "fuseguard", None)))
    lines = [
        "# Command line", "",
        "Each command, with the text of `fuseguard COMMAND --help`. To link to an option, click it. Every command ends "
        "with an exit code:", "",
        "| exit code | meaning |", "| --- | --- |",
        "| 0 | nothing at or above `--fail-on`; for other commands: success |",
        "| 1 | findings; each command says what counts as one |",
        "| 2 | usage, configuration, rule pack or internal error |",
        "| 3 | a file could not be read or was refused |",
        "| 4 | `repair`: the repairs of two rules undo one another |", "",
        "If several apply, the exit code is the largest. `NO_COLOR` and `FORCE_COLOR` are respected. "
        "`FUSEGUARD_DEBUG=1` adds the traceback to an internal error.", "",
        "| command | what it does |", "| --- | --- |", *map(_row_of_command, contexts[1:]), "",
    ]  # fmt: skip
    for context in contexts:
        lines += _command(context)
    return "\n".join(lines)


def _row_of_command(context: click.Context) -> str:
    path = context.command_path
    return f"| [`{path}`](#{_slug(path)}) | {_cell(context.command.get_short_help_str(200))} |"


def _command(context: click.Context) -> Iterator[str]:
    command, path = context.command, context.command_path
    yield from (f"## {path}", "")
    usage = " ".join((path, *command.collect_usage_pieces(context)))
    yield from ("```text", usage, "```", "")
    yield from _text(command.help or "")
    rows = [row for parameter in command.get_params(context) if (row := _option(parameter, context)) is not None]
    if rows:
        yield from ("| option | meaning |", "| --- | --- |", *rows, "")
    yield from _text(command.epilog or "")


def _option(parameter: click.Parameter, context: click.Context) -> str | None:
    """A row of the table; None for an argument, which the usage names, and for --help, which every command has."""
    record = parameter.get_help_record(context)
    if record is None or isinstance(parameter, click.Argument) or "--help" in parameter.opts:
        return None
    names, meaning = record
    anchor = f"{_slug(context.command_path)}-{(parameter.name or '').replace('_', '-')}"
    # Choices are separated by a stroke, which ends a cell even in a code span.
    return f'| <a id="{anchor}" href="#{anchor}"><code>{_html(names)}</code></a> | {_cell(meaning)} |'


def _text(help_text: str) -> Iterator[str]:
    """Paragraphs of help. Those that must keep their lines are blocks."""
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(help_text)):
        if not paragraph.strip():
            continue
        if not paragraph.startswith(_AS_IT_IS):
            yield from (_prose(" ".join(paragraph.split())), "")
            continue
        title, *rest = paragraph.removeprefix(_AS_IT_IS).splitlines()
        if title.endswith(":") and rest:
            yield from (f"**{title}**", "")
        else:
            rest = [title, *rest]
        if title.startswith("Exit codes"):
            yield from (_prose(" ".join(" ".join(rest).split())), "")
            continue
        yield from ("```text", *(line.removeprefix("  ") for line in rest), "```", "")


def _cell(text: str) -> str:
    return _prose(" ".join(text.split())).replace("|", "\\|")


def _prose(text: str) -> str:
    """Help as Markdown: nothing in it is markup, and options are code."""
    escaped = re.sub(r"([\\`*_<\[])", r"\\\1", text)
    return re.sub(r"(?<![\w`-])(--[a-z][a-z-]*)", r"`\1`", escaped)


def _html(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "&#124;")


def _slug(path: str) -> str:
    return path.replace(" ", "-")


def _contexts(context: click.Context) -> Iterator[click.Context]:
    """The command and all below it."""
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            assert command is not None
            yield from _contexts(_context(command, name, context))


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    return click.Context(command, parent=parent, info_name=name, **command.context_settings)
