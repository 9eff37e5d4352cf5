"""What several rules ask of a view is found once: a view never changes."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

from fuseguard.ir import View

_Found = TypeVar("_Found")


def once_per_view(find: Callable[[View], _Found]) -> Callable[[View], _Found]:
    """``find``, whose answer is kept as long as the view lives."""
    kept: WeakKeyDictionary[View, _Found] = WeakKeyDictionary()

    @wraps(find)
    def found(view: View) -> _Found:
        if view not in kept:
            kept[view] = find(view)
        return kept[view]

    return found
