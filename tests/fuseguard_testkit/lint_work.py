"""How much a lint does, in a unit that no other program on the machine changes."""

from __future__ import annotations

import cProfile
import pstats

from fuseguard.engine import load_registry, run
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
