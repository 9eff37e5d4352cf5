"""The one error that every reader raises."""

from __future__ import annotations


class UnreadableInput(Exception):
    """An input that cannot be read or is refused. The text says what is wrong, why, and what to do; exit code 3."""
