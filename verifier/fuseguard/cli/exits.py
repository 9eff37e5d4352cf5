"""Exit codes, and errors that end a command with one. When several codes apply, the largest wins."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from fuseguard.report.lines import clean

CLEAN = 0
FINDINGS = 1  # at or above --fail-on; for prove: the lowering cannot be trusted
ABNORMAL = 2  # usage, configuration, rule pack, a rule that failed, fuseguard itself
UNREADABLE = 3  # an input could not be read, or was refused as unsafe
INTERRUPTED = 130  # as shells report SIGINT
BROKEN_PIPE = 141  # as shells report SIGPIPE

#: For commands that lower programs, when an import fails.
MISSING_PROVE = (
    "proving needs torch, executorch and the TOSA reference model, and this failed: {error}.\nInstall them with: "
    "pip install 'fuseguard[prove]'"
)


class Failure(click.ClickException):
    """Ends the command with a message on stderr and exit code 2."""

    exit_code = ABNORMAL

    def __init__(self, message: str) -> None:
        super().__init__(clean_lines(message))


class Refused(Failure):
    """The same for an input that cannot be read or is refused: exit code 3."""

    exit_code = UNREADABLE


def clean_lines(text: str) -> str:
    """``text`` with everything unprintable but line breaks escaped: it may quote a stranger's file."""
    return "\n".join(clean(line) for line in text.split("\n"))


def debugging() -> bool:
    """Whether the user asked for tracebacks."""
    return os.environ.get("FUSEGUARD_DEBUG", "") not in ("", "0")


def internal_error(error: BaseException) -> str:
    """The message for an error that fuseguard did not foresee. Prints the traceback if the user asked for it."""
    if debugging():
        import traceback

        click.echo("".join(traceback.format_exception(error)), err=True)
        advice = "The traceback is above"
    else:
        advice = "FUSEGUARD_DEBUG=1 shows the traceback"
    return (
        f"internal error: {type(error).__name__}: {error}\n"
        f"This is a bug in fuseguard or in a rule pack. {advice}; please report it to "
        f"its authors{_address()}, with the traceback and the output of 'fuseguard version'."
    )


def _address() -> str:
    """Where fuseguard's package metadata says that issues go, if it does."""
    from importlib import metadata

    try:
        urls = metadata.metadata("fuseguard").get_all("Project-URL") or []
    except metadata.PackageNotFoundError:
        return ""
    return next((f" ({url.split(',', 1)[1].strip()})" for url in urls if url.lower().startswith("issues,")), "")


def nearest(wanted: str, known: Sequence[str]) -> str:
    """``Did you mean 'x'?``, or "" when nothing is near."""
    from fuseguard.engine.nearest import nearest as of_engine

    return of_engine(wanted, known)


def silence_stdout() -> None:
    """After a broken pipe: the interpreter flushes stdout once more when it exits, which must not fail again."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # stdout is no file, as under a test runner
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - lives as long as the process
