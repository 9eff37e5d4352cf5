"""Work on many items, on several processors if asked for: the files of a check, the cases of a selftest."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from fuseguard.gate.result import FileError, FileResult

if TYPE_CHECKING:
    from concurrent.futures import Future
    from multiprocessing.context import BaseContext

Check: TypeAlias = Callable[[Path], FileResult]
#: Called with a file's name when it is done.
Step: TypeAlias = Callable[[str], None]
T = TypeVar("T")
R = TypeVar("R")

_check: Check | None = None  # of a worker process
_MOST_TOGETHER = 16


def check_all(files: Sequence[Path], check: Check, jobs: int = 1, step: Step | None = None) -> tuple[FileResult, ...]:
    """The results in the order of ``files``, however many processes made them.

    ``jobs`` is the number of processes, 0 for one per processor. ``check`` is a picklable function that raises nothing.
    """
    jobs = min(jobs or processors(), len(files))
    # What is checked for goes to each worker once; files then go to whichever is free.
    if jobs <= 1:
        found: Iterator[FileResult] = map(check, files)
    else:
        found = in_processes(files, _work, jobs, _lost, partial(_set_up, check), together=_together(len(files), jobs))
    results = []
    for result in found:
        results.append(result)
        if step is not None:
            step(result.file)
    return tuple(results)


def in_processes(
    items: Sequence[T],
    work: Callable[[T], R],
    jobs: int,
    lost: Callable[[T], R],
    start: Callable[[], None],
    context: BaseContext | None = None,
    together: int = 1,
) -> Iterator[R]:
    """The results in the order of ``items``, made by ``jobs`` processes, which are sent ``together`` items at a time.

    ``work`` and ``start``, which each process calls first, are picklable. ``lost`` makes the result of an item whose
    process was killed. ``context`` says how processes are made, by default as the system does.
    """
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    def pool_of(size: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(size, context, initializer=_start, initargs=(start,))

    pool, alone = pool_of(jobs), None
    try:
        parts = [items[start : start + together] for start in range(0, len(items), together)]
        futures: list[Future[list[R]] | None] = [pool.submit(_each, work, part) for part in parts]
        for number, part in enumerate(parts):
            future, futures[number] = futures[number], None  # a result that was passed on is not kept
            assert future is not None
            try:
                results = future.result()
            except BrokenProcessPool:
                results = None
            del future
            if results is not None:
                yield from results
                continue
            # All that were at work or waiting are lost with it. One at a time shows which of them killed it.
            for item in part:
                alone = alone or pool_of(1)
                try:
                    yield alone.submit(work, item).result()
                except BrokenProcessPool:
                    alone.shutdown()
                    alone = None
                    yield lost(item)
    except KeyboardInterrupt:
        # What is being checked may take long, and nobody waits for it.
        for made in (pool, alone):
            for process in list((made._processes or {}).values()) if made is not None else ():
                process.terminate()
        raise
    finally:
        for made in (pool, alone):
            if made is not None:
                made.shutdown(wait=True, cancel_futures=True)


def _each(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    return [work(item) for item in items]


def _together(files: int, jobs: int) -> int:
    """How many files a process is sent at a time: sending one takes nearly as long as checking a small one. Few enough
    that all processes have about as much to do.
    """
    return max(1, min(_MOST_TOGETHER, files // (16 * jobs)))


def _start(start: Callable[[], None]) -> None:
    # Ctrl-C at a terminal reaches all processes; only the first one is to say something about it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    start()


def _end_with(parent: int) -> None:
    """Ends this process soon after the one that made it, however that one ended: nobody waits for the result."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def processors() -> int:
    """How many this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1


def _set_up(check: Check) -> None:
    global _check
    _check = check


def _work(file: Path) -> FileResult:
    assert _check is not None
    return _check(file)


def _lost(file: Path) -> FileResult:
    return FileResult(str(file), error=FileError("internal", _DIED))


_DIED = (
    "a worker process was killed, perhaps because memory ran out, so this file was not checked. Check fewer files at "
    "once with a smaller -j."
)
