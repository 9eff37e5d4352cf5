"""A progress bar on stderr, for people who wait: only on a terminal, and only for many files."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator

from fuseguard.report.lines import clean

MANY = 8  # files; fewer are checked before one could read a bar


def wants_bar(files: int, quiet: bool) -> bool:
    """Whether to show a bar: not for a log, where each of its states would stay."""
    return files >= MANY and not quiet and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _nothing(file: str) -> None:
    del file


@contextlib.contextmanager
def progress(files: int, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """Yields what to call with a file's name when it is done. The bar is gone when all are."""
    if not wants_bar(files, quiet):
        yield _nothing
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("checking"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    name = TextColumn("{task.fields[file]}", markup=False)
    with Progress(*columns, name, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=files, file="")

        def done(file: str) -> None:
            bar.update(task, advance=1, file=clean(file))

        yield done
