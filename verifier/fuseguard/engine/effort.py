"""What the rules may compute for one program, so that a hostile file cannot keep them busy for ever.

The time of most rules grows with the length of the program. A few compute something per op that takes a millisecond, so
a program of tens of thousands of such ops, each with its own qparams, would take a minute. Therefore, each distinct
item counts, in all rules and control-flow bodies together. The limit is a count rather than a time: the same program
fails everywhere, or nowhere.
"""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterator
from contextvars import ContextVar

#: Lookup tables and the like, each of which takes some milliseconds. A layer of an A16W8 transformer has about five:
#: for exp, a reciprocal, an activation and two reciprocal square roots.
MAX_ITEMS = 400
_SPENT = object()


class TooMuchWork(Exception):
    """The program has more than the rules are allowed to compute."""


_seen: ContextVar[dict[Hashable, int] | None] = ContextVar("fuseguard_effort", default=None)


@contextlib.contextmanager
def limited_effort() -> Iterator[None]:
    """Starts a new count in the block. Outside any such block, there is no limit."""
    token = _seen.set({})
    try:
        yield
    finally:
        _seen.reset(token)


def work(item: Hashable, size: int = 1) -> None:
    """Call before ``item`` is computed, which takes as long as ``size`` tables. Raises TooMuchWork if that exceeds what
    is left.
    """
    seen = _seen.get()
    if seen is None or item in seen:
        return
    # Kept beside the items, so that nothing is added up each time.
    spent = seen.get(_SPENT, 0) + size
    if spent > MAX_ITEMS:
        raise TooMuchWork(f"the program has more than {MAX_ITEMS:,} different tables to compute")
    seen[item], seen[_SPENT] = size, spent
