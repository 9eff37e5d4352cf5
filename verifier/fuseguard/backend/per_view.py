"""What several rules ask of a view is found once: a view never changes."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from fuseguard.ir import View

_Found = TypeVar("_Found")
_Further = ParamSpec("_Further")


def once_per_view(find: Callable[Concatenate[View, _Further], _Found]) -> Callable[Concatenate[View, _Further], _Found]:
    """``find``, whose answer to the same further arguments, all hashable, is kept as long as the view lives."""

    @wraps(find)
    def found(view: View, /, *args: _Further.args, **kwargs: _Further.kwargs) -> _Found:
        key: Hashable = (find, args, *kwargs.items()) if kwargs else (find, args)
        answers = view.kept
        if key not in answers:
            answers[key] = find(view, *args, **kwargs)
        answer: _Found = answers[key]
        return answer

    return found
