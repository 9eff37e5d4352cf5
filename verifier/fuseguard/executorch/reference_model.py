"""The TOSA reference model, kept in a process of its own so that its aborts end nobody else."""

from __future__ import annotations

import atexit
import importlib.util
from collections.abc import Sequence
from typing import Any

from fuseguard.executorch import reference_model_worker
from fuseguard.executorch.child import Child, ChildDied, ChildRaised


class ReferenceModelAborted(RuntimeError):
    """The reference model's process died while it ran a delegate."""


class _Worker:
    """The process that runs the reference model."""

    def __init__(self) -> None:
        self._child = Child(reference_model_worker)
        self.stop = self._child.stop

    def run(self, serialized: bytes, arrays: Sequence[Any]) -> tuple[str, list[Any]]:
        try:
            answer: tuple[str, list[Any]] = self._child.ask((serialized, list(arrays)))
        except ChildRaised as error:
            raise RuntimeError(str(error)) from error
        except ChildDied as error:
            raise ReferenceModelAborted(f"the TOSA reference model aborted {error}") from error
        return answer


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
    status, results = _WORKER.run(serialized, arrays)
    return results, status
