"""Runs delegates in the TOSA reference model, in a process of its own (:mod:`fuseguard.executorch.serving`).

The reference model aborts on some programs (an int16 zero point at a convolution, a NaN scale in a table), and an
abort takes its process with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def prepare() -> Callable[[Any], Any]:
    """Answers (serialized TOSA graph, arrays, prefix, bytes) with (name of the GraphStatus, arrays).

    Unless ``prefix`` is "", an array of at least so many bytes goes to a file whose path starts with it, and the answer
    has the path.
    """
    import numpy
    import tosa_reference_model

    def answer(request: tuple[bytes, list[Any], str, int]) -> tuple[str, list[Any]]:
        serialized, arrays, prefix, large = request
        results, status = tosa_reference_model.run(serialized, arrays, initialize_variable_tensor_from_numpy=True)
        answers: list[Any] = list(results)
        for number, array in enumerate(answers):
            if prefix and array.nbytes >= large:
                answers[number] = f"{prefix}-{number}.npy"
                numpy.save(answers[number], array, allow_pickle=False)
        return status.name, answers

    return answer
