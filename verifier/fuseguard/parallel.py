"""Checks many files, on several processors if asked for."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from fuseguard.report.result import FileError, FileResult

Check: TypeAlias = Callable[[Path], FileResult]
#: Called with a file's name when it is done.
Step: TypeAlias = Callable[[str], None]

_check: Check | None = None  # of a worker process


def check_all(files: Sequence[Path], check: Check, jobs: int = 1, step: Step | None = None) -> tuple[FileResult, ...]:
    """The results in the order of ``files``, however many processes made them.

    ``jobs`` is the number of processes, 0 for one per processor. ``check`` is a picklable function that raises nothing.
    """
    jobs = min(jobs or _processors(), len(files))
    found = map(check, files) if jobs <= 1 else _in_processes(files, check, jobs)
    results = []
    for result in found:
        results.append(result)
        if step is not None:
            step(result.file)
    return tuple(results)


def _in_processes(files: Sequence[Path], check: Check, jobs: int) -> Iterator[FileResult]:
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    # What is checked for goes to each worker once; files then go to whichever is free.
    with ProcessPoolExecutor(jobs, initializer=_set_up, initargs=(check,)) as pool:
        try:
            futures = [pool.submit(_work, file) for file in files]
            for file, future in zip(files, futures, strict=True):
                try:
                    yield future.result()
                except BrokenProcessPool:
                    yield FileResult(str(file), error=FileError("internal", _DIED))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


_DIED = (
    "a worker process was killed, perhaps for want of memory, so that this file was not checked. "
    "Check fewer files at once with a smaller -j."
)


def _set_up(check: Check) -> None:
    global _check
    _check = check
    # Ctrl-C at a terminal reaches all processes; only the first one is to say something about it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _work(file: Path) -> FileResult:
    assert _check is not None
    return _check(file)


def _processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1
