"""Errors that end a command with an exit code, and messages on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import IO, Any

import click

from fuseguard.engine.internal_error import debugging, internal_error
from fuseguard.gate.exit_codes import (
    ABNORMAL,
    BROKEN_PIPE,
    CLEAN,
    ENDLESS,
    FINDINGS,
    INTERRUPTED,
    TERMINATED,
    UNREADABLE,
)
from fuseguard.report.quoting import quoted_lines

__all__ = [
    "ABNORMAL", "BROKEN_PIPE", "CLEAN", "ENDLESS", "FINDINGS", "INTERRUPTED", "MISSING_PROVE", "TERMINATED",
    "UNREADABLE", "Endless", "Failure", "Misused", "Refused", "clean_lines", "debugging", "internal_error", "nearest",
    "silence_stdout", "tell",
]  # fmt: skip

#: For commands that lower programs, when an import fails.
MISSING_PROVE = (
    "this command needs torch, executorch and the TOSA reference model, and this failed: {error}.\nInstall them from a "
    "checkout of fuseguard, with: pip install '.[prove]'"
)


class Failure(click.ClickException):
    """Ends the command with a message on stderr and exit code 2."""

    exit_code = ABNORMAL

    def __init__(self, message: str) -> None:
        super().__init__(clean_lines(message))

    def show(self, file: IO[Any] | None = None) -> None:
        del file
        tell(f"Error: {self.message}")


class Misused(click.UsageError):
    """An error of click's about arguments, told as :func:`tell` tells everything else."""

    def __init__(self, error: click.UsageError) -> None:
        super().__init__(error.format_message(), error.ctx)

    def show(self, file: IO[Any] | None = None) -> None:
        del file
        if self.ctx is not None:
            tell(f"{self.ctx.get_usage()}\nTry '{self.ctx.command_path} --help' for help.\n")
        tell(f"Error: {self.message}")


class Refused(Failure):
    """The same for an input that cannot be read or is refused: exit code 3."""

    exit_code = UNREADABLE


class Endless(Failure):
    """The same for a repair that makes no progress: exit code 4."""

    exit_code = ENDLESS


def tell(text: str) -> None:
    """Print to stderr, on a terminal wrapped to its width. A closed stderr does not change the exit code."""
    try:
        click.echo(_for_terminal(clean_lines(text)), err=True)
    except OSError:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - lives as long as the process


def _for_terminal(text: str) -> str:
    if not sys.stderr.isatty():
        return text
    import shutil

    from fuseguard.report.lines import Line, paragraph, plain

    # An indented line, such as one of a usage text, is laid out already.
    lines = (paragraph(line) if line[:1].strip() else Line(line, hang=len(line)) for line in text.split("\n"))
    return plain(lines, shutil.get_terminal_size().columns).removesuffix("\n")


def clean_lines(text: str) -> str:
    """``text`` with everything unprintable but line breaks escaped: it may quote a stranger's file."""
    return quoted_lines(text)


def nearest(wanted: str, known: Sequence[str]) -> str:
    """``Did you mean 'x'?``, or "" when nothing is near."""
    from fuseguard.engine.nearest import nearest as of_engine

    return of_engine(wanted, known)


def silence_stdout() -> None:
    """After a broken pipe: the interpreter flushes stdout once more when it exits, which must not fail again."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # stdout is not a file, as under a test runner
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - lives as long as the process
