"""How results look when they are printed, and how they become JSON-ready data.

What is printed stays below twelve lines whatever was found: the reports are for more. The data are those of the
reports, which are above the engine and looked up when they are asked for.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Sequence
from typing import Any

from fuseguard.engine.finding import Finding, Severity
from fuseguard.ir.graph import SourceLine

_MOST_RULES = 5
_WIDEST = 100
_SHORTEST = 30  # of a place that had to be shortened


class Printed:
    """A result that consoles show in short. Its own ``__str__`` says what ``print`` and IPython show; ``repr`` is the
    first line of that.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        first, _, more = str(self).partition("\n")
        return f"<fuseguard {type(self).__name__}: {first}{' ...' if more else ''}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What IPython shows where it does not show HTML."""
        printer.text(repr(self) if cycle else str(self))


def lines_of(findings: Sequence[Finding]) -> list[str]:
    """A line for each rule with findings, the worst first: severity, code, name, how many, and where the first is."""
    by_rule: dict[str, list[Finding]] = {}
    for finding in findings:
        by_rule.setdefault(finding.code, []).append(finding)
    lines = []
    for code, found in list(by_rule.items())[:_MOST_RULES]:
        first = found[0]
        places = f", {len(found)} places, the first" if len(found) > 1 else ""
        where = place_of(first.source) if first.source else ", ".join(first.nodes[:2]) or first.file
        lines.append(one_line_at(f"  {first.severity.value} {code} {first.name}{places}", where))
    if len(by_rule) > _MOST_RULES:
        lines.append(f"  and findings of {len(by_rule) - _MOST_RULES} more rules")
    return lines


def place_of(source: SourceLine) -> str:
    """File and line for people: below the current folder relative to it, of an installed package from that on."""
    place = source.packaged if source.installed else str(source)
    return place.removeprefix(f"{os.getcwd()}{os.sep}")


def counted(number: int, noun: str) -> str:
    """``1 error``, ``2 errors``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def enumerated(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``. Raises IndexError for none."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def counts_of(findings: Iterable[Finding]) -> str:
    """``2 errors, 1 warning, 0 notes``."""
    severities = [finding.severity for finding in findings]
    counts = ((severity.value, severities.count(severity)) for severity in Severity)
    return ", ".join(counted(count, name) for name, count in counts)


def one_line(text: str, width: int = _WIDEST) -> str:
    """``text`` on one line that a terminal shows as it is: a name may come from a stranger's file."""
    shown = "".join(char if char.isprintable() else "?" for char in text)
    return shown if len(shown) <= width else f"{shown[: width - 3]}..."


def one_line_at(text: str, place: str) -> str:
    """``text at place`` on one line. A place that is too long keeps its end, which names the file and the line."""
    if not place:
        return one_line(text)
    at = f" at {end_of(place, max(_WIDEST - len(text) - len(' at '), _SHORTEST))}"
    return one_line(one_line(text, _WIDEST - len(at)) + at)


def end_of(path: str, width: int) -> str:
    """The end of a path in at most ``width`` characters, from a slash on where there is one."""
    if len(path) <= width:
        return path
    end = path[len("...") - width :]
    return f"...{end[max(end.find('/'), 0) :]}"


def some_of(before: str, names: Sequence[str]) -> str:
    """``before``, as many names as fit into the line, and how many more there are. The first name is always shown."""
    room = _WIDEST - len(before) - len(f" and {len(names)} more")
    shown = list(names[:1])
    for name in names[1:]:
        if len(", ".join([*shown, name])) > room:
            break
        shown.append(name)
    left = len(names) - len(shown)
    more = f" and {left} more" if left else ""
    return one_line(one_line(before + ", ".join(shown), _WIDEST - len(more)) + more)


def data_of(module: str, function: str, *args: Any) -> dict[str, Any]:
    """What ``fuseguard.report.<module>.<function>(*args)`` yields, with everything that it quotes of a file escaped."""
    quote = importlib.import_module("fuseguard.report.quoting").quoted_tree
    document: dict[str, Any] = quote(getattr(importlib.import_module(f"fuseguard.report.{module}"), function)(*args))
    return document


def page_of(function: str, result: Any) -> str:
    """What ``fuseguard.report.notebook.<function>(result)`` yields: HTML for a notebook, with no markup of a file."""
    page: str = getattr(importlib.import_module("fuseguard.report.notebook"), function)(result)
    return page
