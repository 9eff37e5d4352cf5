"""Writes a command's output: to a terminal in colour, to a pipe in plain text, to a file all at once."""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO, TypeVar

import click

from fuseguard.cli.exits import Failure, silence_stdout, tell
from fuseguard.cli.hints import Choice
from fuseguard.report.lines import Line, plain

F = TypeVar("F", bound=Callable[..., Any])

READING_WIDTH = 80  # columns that prose is wrapped to where there is no terminal to ask


def color_option(command: F) -> F:
    """``--color`` as every command with text output has it."""
    return click.option(
        "--color",
        type=Choice(("auto", "always", "never")),
        default="auto",
        show_default=True,
        help="Colour the text output. auto: on a terminal or with FORCE_COLOR, unless NO_COLOR is set.",
    )(command)


def format_option(*formats: str) -> Callable[[F], F]:
    """``--output-format`` with the formats that a command knows."""
    return click.option(
        "--output-format",
        type=Choice(formats),
        default="text",
        show_default=True,
        metavar="FORMAT",
        help=f"Output format: {', '.join(formats)}.",
    )


def wants_color(color: str) -> bool:
    """What ``--color`` and the environment mean for stdout (https://no-color.org, FORCE_COLOR)."""
    if color != "auto":
        return color == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def write_lines(lines: Iterable[Line], color: str, *, wrap: bool | None = None) -> None:
    """Print lines to stdout, on a terminal wrapped to its width.

    ``wrap`` is True for prose, which is wrapped in a pipe too, where nobody greps whole lines of it; and False for
    what has to stay a line each.
    """
    width = 0
    if wrap is not False and sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
    elif wrap:
        width = READING_WIDTH
    if wants_color(color):
        from fuseguard.report.terminal import coloured

        write_text(coloured(lines, width))
    else:
        write_text(plain(lines, width))


def write_text(text: str) -> None:
    """Print text that has its own line ends."""
    try:
        # Not click.echo: it writes UTF-8 where the locale asks for something else.
        _write_all(sys.stdout, text)
        sys.stdout.flush()
    except BrokenPipeError:
        # The exit code is the verdict; 'fuseguard check m.pt2 | head' must not lose it to a closed pipe.
        silence_stdout()
    except OSError as error:
        silence_stdout()
        raise Failure(f"cannot write to stdout: {error.strerror or error}.") from error


def _write_all(stream: TextIO, text: str) -> None:
    """Write all of ``text`` or raise OSError. With PYTHONUNBUFFERED, a stream silently writes only what fits."""
    raw = getattr(stream, "buffer", None)
    if not isinstance(raw, io.RawIOBase):
        stream.write(text)
        return
    stream.flush()
    data = memoryview(text.encode(stream.encoding, stream.errors or "strict"))
    while data:
        written = raw.write(data)
        if not written:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        data = data[written:]


def warn(text: str) -> None:
    """Tell the user on stderr what they would not expect from the report."""
    tell(f"warning: {text}")


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file under a temporary name and rename it, so that no reader ever sees half of one.

    Raises Failure if that fails; an existing file is then left as it is.
    """
    data = content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace")
    try:
        if (path.exists() and not path.is_file()) or path.is_relative_to("/dev") or path.is_relative_to("/proc"):
            # /dev/stdout and >(command) are opened as they are called: what they lead to has no name of its own.
            with open(path, "ab" if path.is_file() else "wb") as device:
                device.write(data)
            return
        target = path.resolve()  # a link stays a link
        # An unpredictable name, and never a file or a link that is there already.
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.", suffix=".tmp")
        temporary = Path(name)
        try:
            with open(handle, "wb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
            os.chmod(temporary, _mode(target))
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        reason = getattr(error, "strerror", None) or error
        if isinstance(error, FileNotFoundError) and not path.parent.exists():
            reason = f"there is no directory {str(path.parent)!r}; create it first"
        raise Failure(f"cannot write {str(path)!r}: {reason}.") from error


def _mode(target: Path) -> int:
    """The permissions of the file that is there, else those that a new file gets."""
    try:
        return stat.S_IMODE(target.stat().st_mode)
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def identity(path: Path) -> Path:
    """The same for two paths that lead to one file."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a loop of links; writing to it will say so
        return path.absolute()


def refuse_to_overwrite(path: Path, what: str, kept: Mapping[Path, str]) -> None:
    """Raises Failure if what is written to ``path`` would take the place of a program or of something in ``kept``.

    ``what`` names the option; ``kept`` maps an :func:`identity` to what is there.
    """
    found = kept.get(identity(path))
    if found is None and path.suffix == ".pt2":
        # As in --output-file *.pt2: the shell hands over the first program as the name of the report.
        found = "a file named .pt2, like a program"
    if found is not None:
        raise Failure(f"{what} would overwrite {found}; write to another file.")


def check_new_file(path: Path, original: Path, force: bool) -> None:
    """Refuse a place for a program that is made of ``original`` before any work is done for it. Raises Failure."""
    if path.exists() and path.resolve() == original.resolve():
        raise Failure(f"{path} is the program itself, which is never overwritten; name another file.")
    if path.exists() and not force:
        raise Failure(f"{path} exists; pass --force to overwrite it, or name another file.")
    if not path.resolve().parent.is_dir():
        raise Failure(f"{path}: there is no directory {str(path.parent)!r} to write it to; create it first.")
