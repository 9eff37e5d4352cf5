"""How many things the rules work out for one program."""

from __future__ import annotations

import pytest

from fuseguard.engine.effort import MAX_ITEMS, TooMuchWork, limited_effort, work


def test_each_different_thing_counts_once() -> None:
    with limited_effort():
        for item in range(MAX_ITEMS):
            work(item)
            work(item)
        work(0)
        with pytest.raises(TooMuchWork, match="more than 400"):
            work(MAX_ITEMS)


def test_what_takes_longer_counts_more() -> None:
    with limited_effort():
        work("long", MAX_ITEMS - 1)
        work("long", MAX_ITEMS - 1)
        work("short")
        with pytest.raises(TooMuchWork):
            work("another")


def test_every_program_starts_from_nothing_and_nothing_else_is_limited() -> None:
    for _ in range(2):
        with limited_effort():
            for item in range(MAX_ITEMS):
                work(item)
    for item in range(2 * MAX_ITEMS):
        work(item)
