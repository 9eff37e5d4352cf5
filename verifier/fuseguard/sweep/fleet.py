"""Runs items on several machines, through a Dask scheduler. All of them see the models under the same paths.

A batch of items is one task of Dask. It takes about two seconds, so that the scheduler is not the bottleneck, nor is
much lost with a machine: Dask gives the batch of a lost worker to another one. Each item runs in a process of its own
with the limits of a local sweep, so that a task does not die of its items.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import fuseguard
from fuseguard.gate.exit_codes import ABNORMAL
from fuseguard.sweep.items import Item, Outcome, Results
from fuseguard.sweep.running import Limits, Worker

BATCH_SECONDS = 2.0
_LARGEST = 500  # items in a batch
_AHEAD = 2  # batches for each thread of the cluster: one that runs and one that waits
_CONNECT_SECONDS = 30
_LOOK_SECONDS = 1.0  # between two looks at how many threads there are

_local = threading.local()


class FleetError(Exception):
    """The scheduler cannot be used; the text says why and what to do."""


def run_batch(items: Sequence[Item], folder: str, limits: Limits, version: str, python: str) -> list[Outcome]:
    """What the items come to. Runs on a Dask worker.

    ``version`` is that of the fuseguard that asks; ``python`` the one that runs it there, for which this one stands in.
    """
    trouble = ""
    if version != fuseguard.__version__:
        trouble = f"{socket.gethostname()} has fuseguard {fuseguard.__version__}, and the sweep {version}."
    elif not Path(folder).is_dir():
        trouble = f"{socket.gethostname()} has no folder {folder}; the machines must share the manifest's folder."
    if trouble:
        return [Outcome("no environment", ABNORMAL, message=trouble) for _ in items]
    worker = _worker(Path(folder), limits)
    return [worker.run(replace(item, python=sys.executable) if item.python == python else item) for item in items]


def _worker(folder: Path, limits: Limits) -> Worker:
    """That of this thread: its process goes on from one batch to the next."""
    key = (folder, limits)
    if getattr(_local, "key", None) != key:
        if getattr(_local, "key", None) is not None:
            _local.worker.stop()
        _local.key, _local.worker = key, Worker(folder, limits)
    worker: Worker = _local.worker
    return worker


class _Pace:
    """How many items a batch has: as many as take BATCH_SECONDS, by what the last ones took."""

    def __init__(self) -> None:
        self.seconds: float | None = None  # for one item

    def saw(self, outcomes: Sequence[Outcome]) -> None:
        mean = sum(outcome.seconds for outcome in outcomes) / len(outcomes)
        self.seconds = mean if self.seconds is None else 0.7 * self.seconds + 0.3 * mean

    def size(self, waiting: int, threads: int) -> int:
        """One until anything is known. At the end all threads share what is left."""
        if self.seconds is None:
            return 1
        fitting = int(BATCH_SECONDS / max(self.seconds, BATCH_SECONDS / _LARGEST))
        return max(1, min(fitting, waiting // (_AHEAD * threads) or 1))


def run_on(address: str, items: Sequence[Item], folder: Path, limits: Limits) -> Results:
    """Each item with what it came to, as they end. Raises FleetError."""
    try:
        from distributed import Client, as_completed
    except ImportError as error:
        install = "pip install '.[fleet]' in a checkout of fuseguard"
        raise FleetError(f"--scheduler needs Dask: {install} ({error}).") from error
    try:
        client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        hint = "Start it with: dask scheduler"
        raise FleetError(f"the scheduler {address} cannot be reached: {error}. {hint}") from error
    with client:
        yield from _Fleet(client, as_completed(loop=client.loop), folder, limits).run(items)


class _Fleet:
    def __init__(self, client: Any, done: Any, folder: Path, limits: Limits) -> None:
        """``done`` yields futures as they end, and takes more."""
        self.client = client
        self.done = done
        self.folder = folder
        self.limits = limits
        self.pace = _Pace()
        self.running: dict[str, tuple[Any, list[Item]]] = {}
        self._threads = 1
        self._looked = 0.0

    def run(self, items: Sequence[Item]) -> Iterator[tuple[Item, Outcome]]:
        waiting = deque(items)
        while waiting or self.running:
            threads = self.threads()
            while waiting and len(self.running) < _AHEAD * threads:
                size = self.pace.size(len(waiting), threads)
                self._submit([waiting.popleft() for _ in range(min(size, len(waiting)))])
            future = next(self.done)
            _, batch = self.running.pop(future.key)
            yield from zip(batch, self._outcomes(future, batch), strict=False)

    def threads(self) -> int:
        """How many the cluster has. It may have none for a while."""
        if time.monotonic() - self._looked > _LOOK_SECONDS:
            self._threads = max(1, sum(self.client.nthreads().values()))
            self._looked = time.monotonic()
        return self._threads

    def _submit(self, batch: list[Item]) -> None:
        arguments = (batch, str(self.folder), self.limits, fuseguard.__version__, sys.executable)
        # Not pure: Dask must not take two batches for one.
        future = self.client.submit(run_batch, *arguments, pure=False)
        self.running[future.key] = (future, batch)
        self.done.add(future)

    def _outcomes(self, future: Any, batch: list[Item]) -> list[Outcome]:
        """Of a batch that is done; none if its items were submitted again, each by itself."""
        from distributed import KilledWorker

        try:
            outcomes: list[Outcome] = future.result()
        except KilledWorker as error:
            # Several workers were lost with it. One item at a time shows with which of them.
            if len(batch) > 1:
                for item in batch:
                    self._submit([item])
                return []
            return [Outcome("died", ABNORMAL, message=f"the machines that ran it were lost: {error}")]
        except Exception as error:  # as where a worker has no fuseguard
            text = f"a Dask worker cannot run it: {type(error).__name__}: {error}"
            return [Outcome("no environment", ABNORMAL, message=text) for _ in batch]
        self.pace.saw(outcomes)
        return outcomes
