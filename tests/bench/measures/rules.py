"""All rules on large graphs: seconds for each node, and what doubling the nodes costs, in seconds and function calls.

    python tests/bench/measures/rules.py [nodes]

``chain`` has one finding in twelve nodes, of one rule. ``mixed`` has the bad examples of every rule side by side,
and one finding in ten nodes. Seconds are processor time, the least of five checks, without reading a file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from itertools import cycle, islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))
from measuring import ADDITIONS, best, loop_seconds, report

from fuseguard.engine import load_registry, run
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard_testkit.lint_work import TARGET, function_calls
from fuseguard_testkit.side_by_side import bad_examples, side_by_side


def chain(nodes: int) -> Graph:
    """Repeated conv -> relu -> Q -> DQ -> cat with a signed branch -> Q -> DQ, one violation a block."""
    b = GraphBuilder()
    signed = int8(0.05, -17)
    y = b.quantized_input("y", (1, 4, 8, 8), signed)
    value = b.quantized_input("x", (1, 4, 8, 8), signed)
    blocks = nodes // 12
    for index in range(blocks):
        weight = b.quantized_constant(f"w{index}", (4, 4, 3, 3))
        value = b.call("aten.conv2d.default", value, weight, None, (1, 1), (1, 1))
        value = b.requantize(b.call("aten.relu.default", value), signed)
        joint = b.requantize(b.call("aten.cat.default", (value, y), 1, shape=(1, 8, 8, 8)), signed)
        value = b.requantize(b.call("aten.slice.Tensor", joint, 1, 0, 4, shape=(1, 4, 8, 8)), signed)
    return b.output(value)


def mixed(nodes: int) -> Graph:
    """Bad examples of every rule side by side, so that every rule has findings; one in some ten nodes."""
    examples = bad_examples()
    copies = nodes * len(examples) // sum(len(graph) - 1 for graph in examples)  # the outputs become one
    return side_by_side(list(islice(cycle(examples), copies)))


def main() -> None:
    nodes = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    rules = load_registry().rules
    addition = loop_seconds() / ADDITIONS
    figures: dict[str, float] = {"nodes": nodes}
    programs: tuple[Callable[[int], Graph], ...] = (chain, mixed)
    for program in programs:
        name = program.__name__
        small, large = program(nodes // 2), program(nodes)
        figures[f"{name}_findings"] = len(run(large, TARGET, rules).findings)
        half = best(partial(run, small, TARGET, rules), 5)
        whole = best(partial(run, large, TARGET, rules), 5)
        figures[f"{name}_microseconds"] = whole / len(large) * 1e6
        figures[f"{name}_additions"] = whole / len(large) / addition
        figures[f"{name}_calls"] = (calls := function_calls(large)) / len(large)
        figures[f"{name}_doubled"] = whole / half
        figures[f"{name}_calls_doubled"] = calls / function_calls(small)
    report(**figures)


if __name__ == "__main__":
    main()
