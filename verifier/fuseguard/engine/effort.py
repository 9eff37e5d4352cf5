"""What the rules may work out for one program: a file that a stranger made to keep them busy is not checked for ever.

Most rules take as long as the program is. A few work something out per op that takes a millisecond, and a program of
tens of thousands of such ops, each with qparams of its own, would take a minute. So each different thing counts, in all
rules and control-flow bodies together. It is a count and not a time: the same program fails everywhere, or nowhere.
"""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterator
from contextvars import ContextVar

#: Lookup tables and the like. The largest known programs have some hundreds.
MAX_ITEMS = 1_000


class TooMuchWork(Exception):
    """The program has more than the rules are ready to work out."""


_seen: ContextVar[set[Hashable] | None] = ContextVar("fuseguard_effort", default=None)


@contextlib.contextmanager
def limited_effort() -> Iterator[None]:
    """Counts from nothing in the block. Outside of any there is no limit."""
    token = _seen.set(set())
    try:
        yield
    finally:
        _seen.reset(token)


def work(item: Hashable) -> None:
    """To be called before ``item`` is worked out. Raises TooMuchWork if it is one too many."""
    seen = _seen.get()
    if seen is None:
        return
    if item not in seen and len(seen) >= MAX_ITEMS:
        raise TooMuchWork(f"the program has more than {MAX_ITEMS:,} different tables to be worked out")
    seen.add(item)
