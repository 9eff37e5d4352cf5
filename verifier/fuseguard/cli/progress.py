"""How far a command is, on stderr: a bar on a terminal; of long work, a line a minute in a log."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator

from fuseguard.cli import exits
from fuseguard.report.quoting import quoted

MANY = 8  # files; fewer are checked before one could read a bar
HEARTBEAT = 60.0  # seconds between two lines in a log: enough to show that the job is alive


def wants_bar(files: int, quiet: bool) -> bool:
    """Whether to show a bar: not for a log, where each of its states would stay."""
    return files >= MANY and not quiet and _shows_bars()


def _shows_bars() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _nothing(file: str) -> None:
    del file


@contextlib.contextmanager
def progress(files: int, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """Yields what to call with a file's name when it is done. The bar is gone when all are."""
    if not wants_bar(files, quiet):
        yield _nothing
        return
    with _bar("checking", files) as done:
        yield done


@contextlib.contextmanager
def long_progress(label: str, total: int) -> Iterator[Callable[[str], None]]:
    """The same for work that takes seconds apiece: any number of it is worth a bar, and a log hears of it too."""
    if _shows_bars():
        with _bar(label, total) as done:
            yield done
        return
    count, told = 0, time.monotonic()

    def tell(name: str) -> None:
        nonlocal count, told
        count += 1
        if time.monotonic() - told >= HEARTBEAT and count < total:
            told = time.monotonic()
            exits.tell(f"{label}: {count} of {total} done, the last one {name}")

    yield tell


@contextlib.contextmanager
def _bar(label: str, total: int) -> Iterator[Callable[[str], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    name = TextColumn("{task.fields[file]}", markup=False)
    with Progress(*columns, name, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total, file="")

        def done(file: str) -> None:
            bar.update(task, advance=1, file=quoted(file))

        yield done


@contextlib.contextmanager
def status_line() -> Iterator[Callable[[str], None]]:
    """Yields what to call with what is being done: one line on a terminal, gone at the end; in a log one a minute."""
    if _shows_bars():
        from rich.console import Console

        with Console(stderr=True).status("", spinner="line") as status:
            yield lambda text: status.update(quoted(text))
        return
    told = time.monotonic()

    def tell(text: str) -> None:
        nonlocal told
        if time.monotonic() - told >= HEARTBEAT:
            told = time.monotonic()
            exits.tell(text)

    yield tell
