"""A process of our own that answers one request after another, and may die of one without ending anybody else."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import ModuleType
from typing import IO, Any

from fuseguard.executorch import serving
from fuseguard.executorch.serving import receive, send

#: How much of what a child prints before it dies is worth quoting.
_LAST_WORDS = 300


class ChildRaised(RuntimeError):
    """The worker raised for a request, and answers the next one. The text has the error's type and its message."""


class ChildDied(RuntimeError):
    """The child ended while it worked on a request. The text has its exit code and its last printed line."""


class ChildTooSlow(RuntimeError):
    """The child took longer than it may, and was ended."""


def _serving(worker: ModuleType) -> Sequence[str]:
    return sys.executable, str(serving.__file__), str(worker.__file__)


class Child:
    """One child process that runs a worker (:mod:`fuseguard.executorch.serving`).

    It is started at first use, and again after it died.
    """

    def __init__(
        self,
        worker: ModuleType | Callable[[], Sequence[str]],
        environment: Callable[[], Mapping[str, str]] | None = None,
        seconds: float | None = None,
        *,
        group: bool = False,
    ) -> None:
        """``worker``: the module whose file is run, or what gives the command of a process that speaks like one.

        ``seconds``: how long a request may take; None for no limit. ``group``: the child leads a process group of its
        own, which is ended as a whole when it takes too long: what it has started ends with it, and Ctrl-C at a
        terminal does not reach it.
        """
        self.seconds = seconds
        self._group = group
        self._command = partial(_serving, worker) if isinstance(worker, ModuleType) else worker
        self._environment = environment
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None

    def ask(self, request: Any) -> Any:
        """The answer to ``request``.

        Raises ChildRaised. Raises ChildDied, ChildTooSlow: the next request starts another process.
        """
        with self._lock:
            process = self._started()
            assert process.stdin is not None
            assert process.stdout is not None
            late = threading.Event()
            timer = None
            if self.seconds is not None:
                timer = threading.Timer(self.seconds, self._end_late, (process, late))
                timer.start()
            try:
                send(process.stdin, request)
                kind, answer = receive(process.stdout)
            except (EOFError, BrokenPipeError) as error:
                code, words = self._ended(process)
                if late.is_set():
                    raise ChildTooSlow(f"it was ended after {self.seconds:g} s") from error
                raise ChildDied(f"(exit code {code}){words}") from error
            except BaseException:  # as an interrupt: half a message is on its way
                self._kill(process)
                self._ended(process)
                raise
            finally:
                if timer is not None:
                    timer.cancel()
        if kind == "raised":
            raise ChildRaised(answer)
        return answer

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.stop()
            self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=None if self._environment is None else dict(self._environment()),
                start_new_session=self._group,
            )
        return self._process

    def _ended(self, process: subprocess.Popen[bytes]) -> tuple[int, str]:
        """Exit code and last printed line of a process that died."""
        code = process.wait()
        words = ""
        if self._stderr is not None:
            self._stderr.seek(0)
            lines = self._stderr.read().decode(errors="replace").strip().splitlines()
            words = f": {lines[-1].strip()[:_LAST_WORDS]}" if lines else ""
        self.stop()
        return code, words

    def stop(self) -> None:
        """Let the process end, if there is one."""
        if self._process is not None:
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):  # the rest of a request that nobody read
                        stream.close()
            self._process.wait()
            self._process = None
        if self._stderr is not None:
            self._stderr.close()
            self._stderr = None

    def kill(self) -> None:
        """End the process at once, from any thread. A request on its way raises ChildDied."""
        process = self._process
        if process is not None:
            self._kill(process)

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        if self._group:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()

    def _end_late(self, process: subprocess.Popen[bytes], late: threading.Event) -> None:
        late.set()
        self._kill(process)
