"""How much a lint does, in a unit that no other program on the machine changes."""

from __future__ import annotations

import cProfile
import pstats
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from fuseguard.engine import Rule, load_registry, run
from fuseguard.engine.collector import collector_paused
from fuseguard.ir import Graph
from fuseguard.target import Target

TARGET = Target.parse("TOSA-1.0+INT+FP", "1.5.1")
RULES = load_registry().rules


#: Sets whose order differs let some counts never repeat.
_MOST_RUNS = 4


def function_calls(graph: Graph) -> int:
    """Function calls of one lint with all rules, for ``TARGET``."""
    profile = cProfile.Profile()
    # The collector would call finalizers of other tests' garbage, and hypothesis's hook: no work of the lint.
    with collector_paused():
        profile.enable()
        report = run(graph, TARGET, RULES)
        profile.disable()
    assert not report.failures
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]


def lines_run(graph: Graph, rules: Sequence[Rule], target: Target) -> int:
    """Lines of Python that one lint runs, each round of a loop or comprehension by itself."""
    lines = 0

    def count(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal lines
        lines += 1
        return count

    before = sys.gettrace()
    with collector_paused():
        sys.settrace(count)
        try:
            report = run(graph, target, rules)
        finally:
            sys.settrace(before)
    assert not report.failures
    return lines


def growth(work: Callable[[Graph], int], program: Callable[[int], Graph], size: int) -> float:
    """What one ``size`` more costs at twice the size, in terms of what it costs at once the size.

    That is 1 if ``work`` is linear, whatever it costs once, and 1.67 if it is a square. A square that costs a
    hundredth of the linear part at a size of six makes it 1.01. ``program`` makes the program of a size.
    """
    # Until the counts repeat: what is looked up once in a process, and what CPython has yet to specialize, is in the
    # first ones. What is not linear is in all of them.
    counts: list[int] = []
    for _ in range(_MOST_RUNS):
        before, counts = counts, [work(program(size * times)) for times in (1, 2, 3)]
        if counts == before:
            break
    first, second, third = counts
    return (third - second) / (second - first)
