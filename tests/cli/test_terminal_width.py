"""What a person sees on a terminal of 80 columns: no line of a command or of its errors is wider."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import struct
import sys
import termios
from pathlib import Path

import pytest

DATA = Path(__file__).parents[1] / "readers" / "data"


def on_terminal(*args: str, columns: int = 80) -> tuple[str, int]:
    """What the command writes to a terminal, on stdout and stderr, and its exit code."""
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR")}
    process, terminal = pty.fork()
    if process == 0:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        os.chdir(DATA)
        command = [sys.executable, "-m", "fuseguard", *args]
        os.execve(sys.executable, command, {**kept, "NO_COLOR": "1", "TERM": "xterm"})
    pieces = []
    try:
        while piece := os.read(terminal, 65536):
            pieces.append(piece)
    except OSError as error:
        if error.errno != errno.EIO:  # how Linux says that the other side is closed
            raise
    finally:
        os.close(terminal)
    _, status = os.waitpid(process, 0)
    return b"".join(pieces).decode().replace("\r\n", "\n"), os.waitstatus_to_exitcode(status)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("", 0),
        ("demo", 0),
        ("check conv_cat.pt2 --target all --verbose", 1),
        ("why-not FU101 cat conv_cat.pt2", 0),
        ("inspect guarded.pte", 0),
        ("check conv_cat.pt2 --target u85", 2),
        ("check conv_cat.pt2 --output-format foo", 2),
        ("gaurd", 2),
        ("prove conv_cat.pt2", 3),
    ],
)
def test_no_line_is_wider_than_the_terminal(line: str, code: int) -> None:
    text, ended = on_terminal(*line.split())
    assert text.strip()
    assert [item for item in text.split("\n") if len(item) > 80] == []
    assert ended == code, text


def test_a_line_of_an_answer_that_is_wrapped_stays_indented() -> None:
    """The sentence before the conditions began its second line at the left edge."""
    text, ended = on_terminal("why-not", "FU102", "relu", "conv_cat.pt2", "--target", "TOSA-1.0+INT")
    first, *others = text.strip().split("\n")
    assert "FU102" in first
    assert [line for line in others if not line.startswith("  ")] == []
    assert ended == 0


def test_an_error_in_a_log_stays_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    """A log is searched for whole messages."""
    from fuseguard.cli import exits

    exits.Failure("a word and " * 30).show()
    assert capfd.readouterr().err.count("\n") == 1


def test_a_command_to_copy_is_not_broken_in_two(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 70) / "model.pt2"
    text, code = on_terminal("check", str(path))
    assert str(path) in text.replace(":\n", ":")
    assert code == 3
