"""Where the time of a check went: by reader, by what rules ask of the program, and by rule."""

from __future__ import annotations

import pstats
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from cProfile import Profile
from pathlib import Path
from typing import Any, TypeAlias

import fuseguard
from fuseguard.engine.rule import Rule
from fuseguard.ir.value import Value
from fuseguard.report.lines import Line, table
from fuseguard.report.quoting import quoted

#: File, line and name of a function, as pstats has it.
_Function: TypeAlias = "tuple[str, int, str]"
_ENTRIES = frozenset(("check", "exposed", "repair"))
_HOME = Path(fuseguard.__file__).parent
_MOST = 40  # rows of one part: below are hundredths of a thousandth


class Spent(Value, frozen=True):
    """What ran: ``part`` is ``reader``, ``view``, ``rule`` or ``other``; ``calls`` are function calls."""

    part: str
    name: str
    seconds: float
    calls: int


def spent(profile: Profile, rules: Iterable[Rule]) -> list[Spent]:
    """The parts in turn, in each the most expensive first.

    A reader is a module of ``fuseguard.readers``, with the time spent in its own functions. What rules ask of the
    program (``view``) is a method of the view or a model of the backend, likewise. A rule has all of the time between
    the call of its ``check``, ``exposed`` or ``repair`` and their end, so that what it asks of a view for the first
    time counts twice: there and here. Functions of C count for the function that calls them.
    """
    stats: Mapping[_Function, Any] = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    codes = {sys.modules[type(rule).__module__].__file__: rule.code for rule in rules}
    seconds: defaultdict[tuple[str, str], float] = defaultdict(float)
    calls: defaultdict[tuple[str, str], int] = defaultdict(int)
    for function, (_, count, own, cumulative, callers) in stats.items():
        if function[0] == "~":  # of C
            for caller, (_, times, share, _) in callers.items():
                place = _place(caller, codes)
                if place[0] != "rule":
                    seconds[place] += share
                    calls[place] += times
            continue
        place = _place(function, codes)
        calls[place] += count
        if place[0] != "rule":
            seconds[place] += own
        elif function[2] in _ENTRIES:
            seconds[place] += cumulative
    found = [Spent(part, name, taken, calls[part, name]) for (part, name), taken in seconds.items()]
    order = ("reader", "view", "rule", "other")
    return sorted(found, key=lambda item: (order.index(item.part), -item.seconds, item.name))


def _place(function: _Function, codes: Mapping[str | None, str]) -> tuple[str, str]:
    file, _, name = function
    if file in codes:
        return "rule", codes[file]
    path = Path(file)
    if not path.is_relative_to(_HOME):
        return "other", "Python and other packages"
    parts = path.relative_to(_HOME).with_suffix("").parts
    if parts[0] == "readers":
        return "reader", parts[-1]
    if parts == ("ir", "view"):
        return "view", f"View.{name}"
    if parts[0] == "backend":
        return "view", ".".join(parts)
    return "other", parts[0]


def profile_lines(found: list[Spent], whole: float) -> Iterator[Line]:
    """A table for each part, and the whole. Names are quoted: a rule pack may be anybody's."""
    headings = {
        "reader": "Readers: seconds in the functions of each module",
        "view": "What rules ask of the program: seconds in each method of the view and model of the backend",
        "rule": "Rules: seconds from call to end, with what each asks of the program first",
        "other": "Other packages of fuseguard, and what they call",
    }
    for part, heading in headings.items():
        rows = [item for item in found if item.part == part]
        if not rows:
            continue
        yield Line((heading, "strong"))
        shown = [(f"{item.seconds:.4f}", f"{item.calls:,}", quoted(item.name)) for item in rows[:_MOST]]
        yield from table(shown, ("seconds", "calls", "name"), 2)
        if len(rows) > _MOST:
            yield Line(f"  and {len(rows) - _MOST} more of at most {rows[_MOST].seconds:.4f} seconds each")
    yield Line(f"{whole:.4f} seconds in all. Profiling makes a check two to four times slower; calls are exact.")
