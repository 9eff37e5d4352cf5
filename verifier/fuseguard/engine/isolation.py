"""Protects the process from the rules that run in it, which may be anybody's: its end, its time and its stdout."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType


class RuleTimeout(BaseException):
    """A rule took longer than its limit. Not an Exception, so that no rule catches it as one of its own."""


#: Made once: a check asks for one for each rule and finding.
_NO_LIMIT = contextlib.nullcontext()
_handled = False  # whether SIGALRM is ours for now: in the main thread alone


def time_limit(seconds: float | None) -> contextlib.AbstractContextManager[None]:
    """Raises RuleTimeout in the block when it takes longer.

    Only the main thread of a system with SIGALRM can be interrupted; elsewhere, and for None, there is no limit. Many
    limits in one block of :func:`time_limits` cost less.
    """
    if seconds is None or not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        return _NO_LIMIT
    return _Timer(seconds) if _handled else _alarm(seconds)


@contextlib.contextmanager
def time_limits(seconds: float | None) -> Iterator[None]:
    """In the block, SIGALRM belongs to :func:`time_limit`. Without it, each limit takes the signal over and gives it
    back. These two calls take longer than most rules take for a small program. Does nothing if ``seconds`` is None.
    """
    global _handled
    main = threading.current_thread() is threading.main_thread()
    if seconds is None or _handled or not hasattr(signal, "SIGALRM") or not main:
        yield
        return
    before = signal.signal(signal.SIGALRM, _ring)
    _handled = True
    try:
        yield
    finally:
        _handled = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    with time_limits(seconds), _Timer(seconds):
        yield


class _Timer(contextlib.AbstractContextManager[None]):
    """One limit, where SIGALRM is ours."""

    _running: float | None = None  # the limit that rings next

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        _Timer._running = self._seconds
        signal.setitimer(signal.ITIMER_REAL, self._seconds)

    def __exit__(self, *error: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _ring(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise RuleTimeout(f"took longer than {_Timer._running:g} s")


_lock = threading.Lock()
_silent = 0  # how many blocks are in force, in all threads
_kept: contextlib.ExitStack | None = None


@contextlib.contextmanager
def stdout_kept() -> Iterator[None]:
    """Output of the block goes to stderr, even past Python's ``sys.stdout``: stdout is for the report alone."""
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
