"""Several processes make the same database at once: SQLite says that it is locked, and does not wait."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

from fuseguard.sweep.store import Store, StoreError

#: Without another try, 14 of 800 openings failed on two cores.
PROCESSES, FILES = 4, 150


def open_all(folder: Path, together: Any, failures: Any) -> None:
    for number in range(FILES):
        together.wait()
        try:
            Store(folder / f"{number}.sqlite").close()
        except StoreError as error:
            failures.put(str(error))
    failures.put("")


def test_processes_that_make_it_together_all_open_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    together, failures = context.Barrier(PROCESSES), context.Queue()
    running = [context.Process(target=open_all, args=(tmp_path, together, failures)) for _ in range(PROCESSES)]
    for process in running:
        process.start()
    ended, told = 0, []
    while ended < PROCESSES:
        text = failures.get(timeout=60)
        ended += not text
        told += [text] * bool(text)
    for process in running:
        process.join()
    assert told == []
