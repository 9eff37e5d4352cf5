"""The TOSA reference model, kept in a process of its own so that its aborts end nobody else."""

from __future__ import annotations

import atexit
import importlib.util
from collections.abc import Sequence
from typing import Any

from fuseguard.executorch import reference_model_worker
from fuseguard.executorch.child import Child, ChildDied, ChildRaised
from fuseguard.executorch.keeping import LARGE, Kept, prefix


class ReferenceModelAborted(RuntimeError):
    """The reference model's process died while it ran a delegate."""


class _Worker:
    """The process that runs the reference model."""

    def __init__(self) -> None:
        self._child = Child(reference_model_worker)
        self.stop = self._child.stop

    def run(self, serialized: bytes, arrays: Sequence[Any], prefix: str = "") -> tuple[str, list[Any]]:
        try:
            answer: tuple[str, list[Any]] = self._child.ask((serialized, list(arrays), prefix, LARGE))
        except ChildRaised as error:
            raise RuntimeError(str(error)) from error
        except ChildDied as error:
            raise ReferenceModelAborted(f"the TOSA reference model aborted {error}") from error
        return answer


_WORKER = _Worker()
atexit.register(_WORKER.stop)


def run_reference_model(serialized: bytes, arrays: Sequence[Any]) -> tuple[list[Any], str]:
    """The outputs of a serialized TOSA graph on numpy arrays, and the name of the reference model's GraphStatus.

    Raises as :func:`run_and_keep` does.
    """
    return _run(serialized, arrays, "")


def run_and_keep(serialized: bytes, arrays: Sequence[Any]) -> tuple[list[Kept], str]:
    """The same, with large outputs in files: the reference model's process writes them, and nobody reads them yet.

    Raises:
        ImportError: tosa-tools is not installed.
        ReferenceModelAborted: the reference model died of this graph.
        RuntimeError: it raised.
    """
    outputs, status = _run(serialized, arrays, prefix())
    return [Kept.at(item) if isinstance(item, str) else Kept.of(item) for item in outputs], status


def _run(serialized: bytes, arrays: Sequence[Any], prefix: str) -> tuple[list[Any], str]:
    if importlib.util.find_spec("tosa_reference_model") is None:
        raise ModuleNotFoundError("No module named 'tosa_reference_model'", name="tosa_reference_model")
    status, results = _WORKER.run(serialized, arrays, prefix)
    return results, status
