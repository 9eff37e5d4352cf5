"""Many findings on one DQ: all islands read one dequantize op, so that every finding has all of them as its cluster.

python tests/bench/measures/shared.py [findings]
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))
from measuring import best, report

from fuseguard.engine import load_registry, run
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard_testkit.lint_work import TARGET, function_calls


def fan(islands: int) -> Graph:
    """One DQ, and conv -> relu -> Q -> DQ after it, with a fault each."""
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 4, 8, 8), int8(0.05, -17))
    weight = b.quantized_constant("w", (4, 4, 3, 3))
    results = []
    for _ in range(islands):
        conv = b.call("aten.conv2d.default", x, weight, None, (1, 1), (1, 1))
        results.append(b.requantize(b.call("aten.relu.default", conv), int8(0.05, -17)))
    return b.output(*results)


def main() -> None:
    findings = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    rules = load_registry().rules
    small, large = fan(findings // 2), fan(findings)
    found = len(run(large, TARGET, rules).findings)
    half, whole = best(partial(run, small, TARGET, rules), 3), best(partial(run, large, TARGET, rules), 3)
    report(
        findings=found,
        microseconds=whole / found * 1e6,
        doubled=whole / half,
        calls_doubled=function_calls(large) / function_calls(small),
    )


if __name__ == "__main__":
    main()
