"""Keeps rules, which may be anybody's, from the process that they run in: from its end, its time and its stdout."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import IO, Any


class RuleTimeout(BaseException):
    """A rule took longer than its limit. No Exception, so that no rule takes it for one of its own."""


@contextlib.contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raises RuleTimeout in the block when it takes longer.

    Only the main thread of a system with SIGALRM can be interrupted; elsewhere, and for None, there is no limit.
    """
    if seconds is None or not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise RuleTimeout(f"took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


_lock = threading.Lock()
_silent = 0  # how many blocks are in force, in all threads
_stdout: IO[Any] | None = None


@contextlib.contextmanager
def stdout_kept() -> Iterator[None]:
    """What the block prints goes to stderr: stdout is the report's alone."""
    global _silent, _stdout
    with _lock:
        if _silent == 0:
            _stdout, sys.stdout = sys.stdout, sys.stderr
        _silent += 1
    try:
        yield
    finally:
        with _lock:
            _silent -= 1
            if _silent == 0 and _stdout is not None:
                sys.stdout = _stdout
