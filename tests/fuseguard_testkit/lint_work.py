"""How much a lint does, in a unit that no other program on the machine changes."""

from __future__ import annotations

import cProfile
import pstats
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

from fuseguard.engine import Rule, load_registry, run
from fuseguard.ir import Graph
from fuseguard.target import Target

TARGET = Target.parse("TOSA-1.0+INT+FP", "1.5.1")


def function_calls(graph: Graph) -> int:
    """Function calls of one lint with all rules, for ``TARGET``."""
    rules = load_registry().rules
    profile = cProfile.Profile()
    profile.enable()
    report = run(graph, TARGET, rules)
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
    sys.settrace(count)
    try:
        report = run(graph, target, rules)
    finally:
        sys.settrace(before)
    assert not report.failures
    return lines
