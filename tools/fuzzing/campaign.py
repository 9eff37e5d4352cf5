"""Runs a campaign: deals numbers out to workers, ends those that hang, and puts together what came out.

The outcome of an input depends on the seed and its number alone, not on how many workers there are.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from multiprocessing.connection import Connection, wait
from typing import Any

from fuzzing import corpus
from fuzzing.inputs import Maker
from fuzzing.worker import Settings, Tally, run

#: Inputs that a worker is dealt at a time.
CHUNK = 250
_POLL = 0.2
#: To import the rules and to read the good files, on a busy machine.
_START = 120.0
_SPAWN = multiprocessing.get_context("spawn")


@dataclass(slots=True)
class _Worker:
    process: Any
    connection: Connection
    slot: int
    since: float
    ready: bool = False
    numbers: tuple[int, int] | None = None


class Campaign:
    """``limit`` is the longest that one input may take, in seconds of wall time."""

    def __init__(self, settings: Settings, jobs: int, limit: float = 5.0) -> None:
        self._settings = settings
        self._jobs = jobs
        self._limit = limit
        self._started = _SPAWN.Array("d", 2 * jobs, lock=False)
        self._maker = Maker(corpus.load(), settings.seed, settings.kinds)
        self.tally = Tally()
        self.seconds = 0.0

    def run(self, inputs: int, seconds: float | None = None, step: Callable[[Tally], None] | None = None) -> Tally:
        """Judges the inputs 0 to ``inputs``, or as many as start within ``seconds``. ``step`` is called now and then.

        Raises RuntimeError if a worker cannot start.
        """
        begun = time.monotonic()
        todo = _ranges(inputs)
        again: deque[tuple[int, int]] = deque()
        workers = [self._start(slot) for slot in range(self._jobs)]
        polled = time.monotonic()
        try:
            while workers:
                for connection in wait([worker.connection for worker in workers], _POLL):
                    worker = next(item for item in workers if item.connection is connection)
                    if not self._receive(worker):
                        workers[workers.index(worker)] = self._restart(worker, again, "died", "the process died")
                now = time.monotonic()
                # Where this process itself was stopped for a while, the workers were too.
                stopped, polled = now - polled > 5 * _POLL + 0.5, now
                for position, worker in enumerate(workers):
                    if not stopped and self._hangs(worker, now):
                        text = f"took longer than {self._limit:g} s"
                        workers[position] = self._restart(worker, again, "hang", text)
                over = seconds is not None and now - begun > seconds
                workers = [worker for worker in workers if self._deal(worker, todo, again, over)]
                if step is not None:
                    step(self.tally)
        finally:
            for worker in workers:
                worker.process.kill()
        self.seconds = time.monotonic() - begun
        return self.tally

    def _start(self, slot: int) -> _Worker:
        ours, theirs = _SPAWN.Pipe()
        self._started[2 * slot + 1] = 0.0
        process = _SPAWN.Process(target=run, args=(theirs, self._settings, self._started, slot), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours, slot, time.monotonic())

    def _receive(self, worker: _Worker) -> bool:
        """Whether the worker lives."""
        try:
            tally = worker.connection.recv()
        except (EOFError, OSError):
            return False
        if tally is None:
            worker.ready = True
        else:
            self.tally.add(tally)
            worker.numbers = None
        return True

    def _hangs(self, worker: _Worker, now: float) -> bool:
        if not worker.ready:
            if now - worker.since > _START:
                raise RuntimeError("a worker does not start")
            return False
        since: float = self._started[2 * worker.slot + 1]
        return since > 0 and now - since > self._limit

    def _restart(self, worker: _Worker, again: deque[tuple[int, int]], signature: str, text: str) -> _Worker:
        """A new worker in the place of one that hangs or died, whose input at hand is a failure."""
        worker.process.kill()
        worker.process.join()
        if not worker.ready or worker.numbers is None:
            raise RuntimeError(f"a worker does not start: {text}")
        number = int(self._started[2 * worker.slot])
        first, last = worker.numbers
        again.extend(part for part in ((first, number), (number + 1, last)) if part[0] < part[1])
        tally = Tally(inputs=1)
        tally.fail(self._maker.make(number), signature, text)
        self.tally.add(tally)
        return self._start(worker.slot)

    def _deal(
        self, worker: _Worker, todo: Iterator[tuple[int, int]], again: deque[tuple[int, int]], over: bool
    ) -> bool:
        """Gives an idle worker its next numbers. Whether it still has something to do."""
        if not worker.ready or worker.numbers is not None:
            return True
        worker.numbers = again.popleft() if again else None if over else next(todo, None)
        worker.connection.send(worker.numbers)
        if worker.numbers is None:
            worker.process.join()
        return worker.numbers is not None

    def summary(self) -> dict[str, Any]:
        """What is recorded of the campaign, ready for JSON."""
        tally = self.tally
        table: dict[str, dict[str, dict[str, int]]] = {}
        formats: dict[str, Counter[str]] = {}
        for (kind, mutator, outcome), number in sorted(tally.counts.items()):
            table.setdefault(kind, {}).setdefault(mutator, {})[outcome] = number
            formats.setdefault(kind, Counter())[outcome] += number
        return {
            "seed": self._settings.seed,
            "inputs": tally.inputs,
            "jobs": self._jobs,
            "seconds": round(self.seconds, 1),
            "inputs_per_second": round(tally.inputs / self.seconds, 1) if self.seconds else 0.0,
            "cpu_seconds": round(tally.cpu, 1),
            "inputs_per_cpu_second": round(tally.inputs / tally.cpu, 1) if tally.cpu else 0.0,
            "mean_input_bytes": round(tally.size / max(1, tally.inputs)),
            "longest_seconds": round(tally.longest, 3),
            "longest_input": tally.longest_number,
            "peak_mib": round(tally.peak / 2**20, 1),
            "load": [round(value, 2) for value in os.getloadavg()],
            "versions": {
                "python": platform.python_version(),
                **{name: metadata.version(name) for name in ("fuseguard", "msgspec", "click")},
            },
            "outcomes": {kind: dict(counts) for kind, counts in formats.items()},
            "failures": [
                {
                    "signature": item.signature, "times": tally.signatures[item.signature], "number": item.number,
                    "format": item.format, "mutator": item.mutator, "text": item.text,
                }
                for item in sorted(tally.failures, key=lambda item: (item.signature, item.number))
            ],
            "table": table,
        }  # fmt: skip


def _ranges(inputs: int) -> Iterator[tuple[int, int]]:
    return ((first, min(first + CHUNK, inputs)) for first in range(0, inputs, CHUNK))
