"""Runs delegates in the TOSA reference model, in a process of its own (:mod:`fuseguard.executorch.serving`).

The reference model aborts on some programs (an int16 zero point at a convolution, a NaN scale in a table), and an
abort takes its process with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def prepare() -> Callable[[Any], Any]:
    """Answers (serialized TOSA graph, arrays) with (name of the GraphStatus, arrays)."""
    import tosa_reference_model

    def answer(request: tuple[bytes, list[Any]]) -> tuple[str, list[Any]]:
        results, status = tosa_reference_model.run(*request, initialize_variable_tensor_from_numpy=True)
        return status.name, list(results)

    return answer
