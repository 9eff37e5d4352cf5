"""Keeps rules, which may be anybody's, from the process that they run in: from its end, its time and its stdout."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType


class RuleTimeout(BaseException):
    """A rule took longer than its limit. No Exception, so that no rule takes it for one of its own."""


#: Made once: a check asks for one for each rule and finding.
_NO_LIMIT = contextlib.nullcontext()


def time_limit(seconds: float | None) -> contextlib.AbstractContextManager[None]:
    """Raises RuleTimeout in the block when it takes longer.

    Only the main thread of a system with SIGALRM can be interrupted; elsewhere, and for None, there is no limit.
    """
    if seconds is None or not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        return _NO_LIMIT
    return _alarm(seconds)


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
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
_kept: contextlib.ExitStack | None = None


@contextlib.contextmanager
def stdout_kept() -> Iterator[None]:
    """What the block prints goes to stderr, also past Python's ``sys.stdout``: stdout is the report's alone."""
    global _silent, _kept
    with _lock:
        if _silent == 0:
            _kept = contextlib.ExitStack()
            _kept.enter_context(_descriptor_kept())
            _kept.enter_context(contextlib.redirect_stdout(sys.stderr))
        _silent += 1
    try:
        yield
    finally:
        with _lock:
            _silent -= 1
            if _silent == 0 and _kept is not None:
                _kept.close()


@contextlib.contextmanager
def _descriptor_kept() -> Iterator[None]:
    """The same for what is written to the file descriptor, by ``os.write``, by C or by a process that a rule starts."""
    try:
        number, other = sys.stdout.fileno(), sys.stderr.fileno()
        saved = os.dup(number)
    except (AttributeError, OSError, ValueError):  # there is none, as under a test runner; UnsupportedOperation is both
        yield
        return
    try:
        os.dup2(other, number)
        yield
    finally:
        os.dup2(saved, number)
        os.close(saved)
