"""What torch and Arm's pass manager raise, as verdicts state it."""

from __future__ import annotations


def said(error: BaseException) -> str:
    """The text of an exception without the place in the graph that torch's interpreter adds to it."""
    return str(error).partition("\n\nWhile executing")[0]


def root_cause(error: BaseException) -> BaseException:
    """The exception that started it; Arm's pass manager wraps the real one."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def typed(error: BaseException) -> str:
    """Type and text of an exception."""
    return f"{type(error).__name__}: {said(error)}"
