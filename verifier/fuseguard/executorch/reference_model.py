"""The TOSA reference model, kept in a process of its own so that its aborts end nobody else."""

from __future__ import annotations

import atexit
import importlib.util
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from fuseguard.executorch import reference_model_worker
from fuseguard.executorch.reference_model_worker import receive, send

#: How much of what the reference model prints before it aborts is worth quoting.
_LAST_WORDS = 300


class ReferenceModelAborted(RuntimeError):
    """The reference model's process died while it ran a delegate."""


class _Worker:
    """One child process; started at first use, and again after an abort."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None

    def run(self, serialized: bytes, arrays: Sequence[Any]) -> tuple[str, str, list[Any]]:
        with self._lock:
            process = self._started()
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                send(process.stdin, (serialized, list(arrays)))
                reply: tuple[str, str, list[Any]] = receive(process.stdout)
            except (EOFError, BrokenPipeError) as error:
                code, words = self._ended(process)
                raise ReferenceModelAborted(f"the TOSA reference model aborted (exit code {code}){words}") from error
            except BaseException:  # Ctrl-C: the reply that is on its way is nobody's
                process.kill()
                self.stop()
                raise
            return reply

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.stop()
            self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
            self._process = subprocess.Popen(
                [sys.executable, str(Path(reference_model_worker.__file__))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
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
        if self._process is not None:
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            self._process.wait()
            self._process = None
        if self._stderr is not None:
            self._stderr.close()
            self._stderr = None


_WORKER = _Worker()
atexit.register(_WORKER.stop)


def run_reference_model(serialized: bytes, arrays: Sequence[Any]) -> tuple[list[Any], str]:
    """The outputs of a serialized TOSA graph on numpy arrays, and the name of the reference model's GraphStatus.

    Raises:
        ImportError: tosa-tools is not installed.
        ReferenceModelAborted: the reference model died of this graph.
        RuntimeError: it raised.
    """
    if importlib.util.find_spec("tosa_reference_model") is None:
        raise ModuleNotFoundError("No module named 'tosa_reference_model'", name="tosa_reference_model")
    kind, text, results = _WORKER.run(serialized, arrays)
    if kind == "raised":
        raise RuntimeError(text)
    return results, text
