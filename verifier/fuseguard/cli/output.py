"""Writes a command's output: to a terminal in colour, to a pipe in plain text, to a file all at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from fuseguard.cli.exits import Failure, clean_lines, silence_stdout
from fuseguard.report.lines import Line, plain

F = TypeVar("F", bound=Callable[..., Any])

READING_WIDTH = 100  # columns that prose is wrapped to where there is no terminal to ask


def color_option(command: F) -> F:
    """``--color`` as every command with text output has it."""
    return click.option(
        "--color",
        type=click.Choice(("auto", "always", "never")),
        default="auto",
        show_default=True,
        help="Colour the text output. auto: on a terminal, unless NO_COLOR is set.",
    )(command)


def format_option(*formats: str) -> Callable[[F], F]:
    """``--output-format`` with the formats that a command knows."""
    return click.option(
        "--output-format",
        type=click.Choice(formats),
        default="text",
        show_default=True,
        help="What to print.",
    )


def wants_color(color: str) -> bool:
    """What ``--color`` and the environment come to for stdout (https://no-color.org, FORCE_COLOR)."""
    if color != "auto":
        return color == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def write_lines(lines: Iterable[Line], color: str, *, wrap: bool = False) -> None:
    """Print lines to stdout. ``wrap`` wraps them in a pipe too: for prose, where nobody greps whole lines."""
    if wants_color(color):
        from fuseguard.report import terminal

        _guarded(lambda: terminal.write(lines, sys.stdout))
    else:
        write_text(plain(lines, READING_WIDTH if wrap else 0))


def write_text(text: str) -> None:
    """Print text that brings its own line ends."""
    # Not click.echo: it writes UTF-8 where the locale asks for something else.
    _guarded(lambda: sys.stdout.write(text))


def _guarded(write: Callable[[], object]) -> None:
    # The exit code is the verdict; 'fuseguard check m.pt2 | head' must not lose it to a closed pipe.
    try:
        write()
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()


def warn(text: str) -> None:
    """Tell the user on stderr what they would not expect of the report."""
    click.echo(clean_lines(f"warning: {text}"), err=True)


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file under a temporary name and rename it, so that no reader ever sees half of one.

    Raises Failure if that cannot be done; what was there before is left as it is.
    """
    data = content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace")
    try:
        target = path.resolve()  # a link stays a link
        if target.exists() and not target.is_file():
            with open(target, "wb") as device:  # /dev/stdout or a pipe must not be replaced by a file
                device.write(data)
            return
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            temporary.write_bytes(data)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        reason = getattr(error, "strerror", None) or error
        raise Failure(f"cannot write {str(path)!r}: {reason}.") from error
