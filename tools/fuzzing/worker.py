"""One process of a campaign: it makes inputs, judges them and says what came out. It may be killed at any time."""

from __future__ import annotations

import gc
import importlib
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, MutableSequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeAlias

from fuzzing import corpus
from fuzzing.inputs import Input, Maker

#: Judges the file of one input, by its path and number, and returns a word for what came out. Raises Fault.
Subject: TypeAlias = Callable[[Path, int], str]
#: What makes the subject; ``module:name``, called without arguments.
DEFAULT_SUBJECT = "fuzzing.worker:check"
#: Failures of one kind that are sent on with their text. All are counted.
_TOLD = 5


@dataclass(frozen=True, slots=True)
class Settings:
    """What every worker is told. ``memory`` is in bytes, of address space."""

    seed: int
    subject: str = DEFAULT_SUBJECT
    memory: int = 2**30
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """An input that is neither reported on nor refused. ``signature`` says which fault it is, ``text`` more."""

    number: int
    format: str
    mutator: str
    signature: str
    text: str


@dataclass(slots=True)
class Tally:
    """What came of a number of inputs. Times are in seconds, ``peak`` is in bytes."""

    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    signatures: Counter[str] = field(default_factory=Counter)
    inputs: int = 0
    size: int = 0
    cpu: float = 0.0
    longest: float = 0.0
    longest_number: int = -1
    peak: int = 0

    def add(self, other: Tally) -> None:
        self.counts += other.counts
        for failure in other.failures:
            if sum(known.signature == failure.signature for known in self.failures) < _TOLD:
                self.failures.append(failure)
        self.signatures += other.signatures
        self.inputs += other.inputs
        self.size += other.size
        self.cpu += other.cpu
        if other.longest > self.longest:
            self.longest, self.longest_number = other.longest, other.longest_number
        self.peak = max(self.peak, other.peak)

    def fail(self, made: Input, signature: str, text: str) -> None:
        self.counts[made.format, made.mutator, "failure"] += 1
        self.signatures[signature] += 1
        if sum(known.signature == signature for known in self.failures) < _TOLD:
            self.failures.append(Failure(made.number, made.format, made.mutator, signature, text))


def check() -> Subject:
    """The subject of a campaign: what ``fuseguard check`` does."""
    from fuzzing.judge import Judge

    return Judge([corpus.FIXTURES / name for names in corpus.FORMATS.values() for name in names])


def scratch() -> Path | None:
    """Where files cost no disk, if there is such a place."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() else None


def subject_of(name: str) -> Subject:
    module, _, attribute = name.partition(":")
    made: Subject = getattr(importlib.import_module(module), attribute)()
    return made


def run(connection: Connection, settings: Settings, started: MutableSequence[float], slot: int) -> None:
    """Judges the ranges of numbers that it is sent until it is sent None; answers each with a Tally.

    ``started`` takes the number at hand and when it was begun, at 2 * ``slot``, for the watchdog.
    """
    maker = Maker(corpus.load(), settings.seed, settings.kinds)
    subject = subject_of(settings.subject)
    gc.collect()
    gc.freeze()  # the collector need not look through the good files again and again
    resource.setrlimit(resource.RLIMIT_AS, (settings.memory, settings.memory))
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=scratch()) as folder:
        path = Path(folder, "input")
        connection.send(None)  # ready
        while (numbers := connection.recv()) is not None:
            connection.send(_judge_all(maker, subject, path, range(*numbers), started, 2 * slot))


def _judge_all(
    maker: Maker, subject: Subject, path: Path, numbers: range, started: MutableSequence[float], at: int
) -> Tally:
    tally = Tally()
    before = time.process_time()
    for number in numbers:
        made = maker.make(number)
        path = path.with_suffix(made.suffix)
        path.write_bytes(made.data)
        begun = time.monotonic()
        started[at], started[at + 1] = number, begun
        outcome = _judge(subject, path, made, tally)
        taken = time.monotonic() - begun
        started[at + 1] = 0.0
        if outcome is not None:
            tally.counts[made.format, made.mutator, outcome] += 1
        if taken > tally.longest:
            tally.longest, tally.longest_number = taken, number
        tally.inputs += 1
        tally.size += len(made.data)
    tally.cpu = time.process_time() - before
    tally.peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return tally


def _judge(subject: Subject, path: Path, made: Input, tally: Tally) -> str | None:
    """The outcome; None for a failure, which is tallied."""
    had_torch = "torch" in sys.modules
    try:
        outcome = subject(path, made.number)
    except MemoryError:
        tally.fail(made, "memory", "MemoryError")
    except (KeyboardInterrupt, SystemExit):
        raise
    except Exception as error:
        tally.fail(made, getattr(error, "signature", type(error).__name__), str(error))
    else:
        if not had_torch and "torch" in sys.modules:
            tally.fail(made, "torch imported", "torch was imported")
            return None
        return outcome
    return None
