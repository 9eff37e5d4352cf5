"""Runs items in worker processes, each with limits on time and memory, and never lets one item stop the others."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fuseguard.executorch.child import Child, ChildDied, ChildTooSlow
from fuseguard.gate.exit_codes import ABNORMAL
from fuseguard.sweep.items import WITHOUT_FOLDER, Item, Outcome, Results, environment_of

_START_SECONDS = 600.0  # for importing torch and the backend, where many processes do so at once
_MAIN = f"{WITHOUT_FOLDER}from fuseguard.cli.sweep_worker import main; main()"
#: What a worker imports before its first item, so that this does not count as the item's time.
_HEAVY = ("fuseguard.executorch.judge", "fuseguard.executorch.verified_repair")
_LOST = " A process that ends so has crashed, or the system has ended it because memory ran out."


@dataclass(frozen=True, slots=True)
class Limits:
    """What one item may take: seconds, and MiB of data per process (None: as much as there is)."""

    seconds: float
    memory_mib: int | None = None


class Worker:
    """One process at a time, of the Python that the items need."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        """``folder``: where the commands run."""
        self.folder = folder
        self.limits = limits
        self._child: Child | None = None
        self._python = ""
        self._heavy = False
        self._used = False
        self._ended = threading.Event()

    def run(self, item: Item) -> Outcome:
        """What the item comes to. Raises nothing for what happens to the item or to its process."""
        if item.trouble:
            return Outcome("no environment", ABNORMAL, message=item.trouble)
        outcome = self._try(item)
        if outcome.status == "died" and not self._ended.is_set():
            # Somebody may have ended the process, or an item before may have damaged it. A second time it is the item.
            outcome = self._try(item)
        elif outcome.status == "out of memory" and self._used:
            self.stop()  # what earlier items have left counts too
            outcome = self._try(item)
        if outcome.status == "out of memory":
            self.stop()
        return outcome

    def _try(self, item: Item) -> Outcome:
        child, trouble = self._ready(item)
        if child is None:
            return Outcome("no environment", ABNORMAL, message=trouble)
        if self._ended.is_set():
            return Outcome("died", ABNORMAL, message="interrupted")
        child.seconds = self.limits.seconds
        request = {"folder": str(self.folder), "arguments": list(item.arguments), "digest": item.digest}
        try:
            outcome = Outcome(**child.ask(request))
        except ChildTooSlow:
            self._child = None
            text = f"ended after {self.limits.seconds:g} s, the limit for one item."
            return Outcome("too slow", ABNORMAL, message=text, seconds=self.limits.seconds)
        except ChildDied as error:
            self._child = None
            return Outcome("died", ABNORMAL, message=f"the process ended {error}.{_LOST}")
        self._used = True
        return outcome

    def _ready(self, item: Item) -> tuple[Child | None, str]:
        """The process for an item, or why there is none."""
        heavy = item.step != "check"
        if self._child is not None and self._python == item.python and (self._heavy or not heavy):
            return self._child, ""
        self.stop()
        python = item.python
        child = Child(lambda: (python, "-c", _MAIN), lambda: environment_of(python), seconds=_START_SECONDS, group=True)
        self._child, self._python, self._heavy, self._used = child, python, heavy, False
        if self._ended.is_set():
            return None, "interrupted"
        try:
            request = {"modules": list(_HEAVY if heavy else ()), "memory_mib": self.limits.memory_mib}
            trouble: str = child.ask(request)["trouble"]
        except (ChildDied, ChildTooSlow, OSError) as error:
            trouble = f"{python} could not be started as a worker: {error}"
        if trouble:
            self.stop()
            return None, trouble
        return child, ""

    def stop(self) -> None:
        """Let the process end, if there is one."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def kill(self) -> None:
        """End the process at once, from any thread; no other is started."""
        self._ended.set()
        child = self._child
        if child is not None:
            child.kill()


def run_items(items: Sequence[Item], folder: Path, limits: Limits, jobs: int) -> Results:
    """Each item with what it came to, as they end; ``jobs`` at once.

    When the caller stops listening, by an exception too, all processes are ended.
    """
    waiting: queue.SimpleQueue[Item] = queue.SimpleQueue()
    for item in items:
        waiting.put(item)
    done: queue.SimpleQueue[tuple[Item, Outcome] | BaseException] = queue.SimpleQueue()
    workers = [Worker(folder, limits) for _ in range(min(jobs, len(items)))]
    ended = threading.Event()

    def work(worker: Worker) -> None:
        try:
            while not ended.is_set():
                try:
                    item = waiting.get_nowait()
                except queue.Empty:
                    break
                outcome = worker.run(item)
                if not ended.is_set():
                    done.put((item, outcome))
        except BaseException as error:  # a fault of ours; the caller has to hear of it
            done.put(error)
        finally:
            worker.stop()

    threads = [threading.Thread(target=work, args=(worker,), daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        for _ in items:
            found = done.get()
            if isinstance(found, BaseException):
                raise found
            yield found
    finally:
        ended.set()
        for worker in workers:
            worker.kill()
        for thread in threads:
            thread.join()
