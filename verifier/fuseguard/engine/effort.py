"""What the rules may work out for one program: a file that a stranger made to keep them busy is not checked for ever.

Most rules take as long as the program is. A few work something out per op that takes a millisecond, and a program of
tens of thousands of such ops, each with qparams of its own, would take a minute. So each different thing counts, in all
rules and control-flow bodies together. It is a count and not a time: the same program fails everywhere, or nowhere.
"""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterator
from contextvars import ContextVar

#: Lookup tables and the like, each of which takes some milliseconds. A layer of an A16W8 transformer has about five:
#: for exp, a reciprocal, an activation and two reciprocal square roots.
MAX_ITEMS = 500
_SPENT = object()


class TooMuchWork(Exception):
    """The program has more than the rules are ready to work out."""


_seen: ContextVar[dict[Hashable, int] | None] = ContextVar("fuseguard_effort", default=None)


@contextlib.contextmanager
def limited_effort() -> Iterator[None]:
    """Counts from nothing in the block. Outside of any there is no limit."""
    token = _seen.set({})
    try:
        yield
    finally:
        _seen.reset(token)


def work(item: Hashable, size: int = 1) -> None:
    """To be called before ``item`` is worked out, which takes as long as ``size`` tables.

    Raises TooMuchWork if it is more than is left.
    """
    seen = _seen.get()
    if seen is None or item in seen:
        return
    # Kept beside the items, so that nothing is added up each time.
    spent = seen.get(_SPENT, 0) + size
    if spent > MAX_ITEMS:
        raise TooMuchWork(f"the program has more than {MAX_ITEMS:,} different tables to be worked out")
    seen[item], seen[_SPENT] = size, spent
