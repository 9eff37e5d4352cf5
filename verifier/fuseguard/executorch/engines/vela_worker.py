"""Compiles TOSA with Vela, in a process of its own (:mod:`fuseguard.executorch.serving`).

Vela's compiler is a C++ library, which may abort or hang, and then takes its process with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def prepare() -> Callable[[Any], Any]:
    """Answers the arguments of Vela's command line with its exit code. What it refuses raises."""
    from ethosu.vela import vela

    def answer(arguments: list[str]) -> int:
        code: int | None = vela.main(arguments)
        return code or 0

    return answer
