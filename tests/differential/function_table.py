"""The table of hand-written functions, which float_functions.py and integer_functions.py fill. Imports torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor, randn

#: Takes the layers (:class:`differential.functions.Layers`) and the inputs of a program.
Function: TypeAlias = Callable[..., object]

#: The shape of an input of four channels, which a function gets where it is given no other.
IMAGE = (1, 4, 8, 8)
FUNCTIONS: dict[str, tuple[Function, tuple[Tensor, ...]]] = {}


def add(name: str, function: Function, *inputs: Tensor) -> None:
    """Add a function, with the inputs that it is calibrated on and judged with."""
    assert name not in FUNCTIONS, name
    FUNCTIONS[name] = function, inputs or (randn(IMAGE),)
