"""All rules on large graphs: time, function calls, and the ratios when the node count doubles (2 is linear).

python tests/bench/many_nodes.py [nodes]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from fuseguard.engine import Rule, load_registry, run
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


def seconds(graph: Graph, rules: Sequence[Rule]) -> float:
    """The best of five lints."""
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        run(graph, TARGET, rules)
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    nodes = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    rules = load_registry().rules
    for program in (chain, mixed):
        before = None
        for count in (nodes // 2, nodes, nodes * 2):
            graph = program(count)
            taken, calls = seconds(graph, rules), function_calls(graph)
            line = f"{program.__name__}: {len(graph):6} nodes, {taken:.3f} s, {calls:8} function calls"
            if before is not None:
                line += f"; {taken / before[0]:.2f} and {calls / before[1]:.2f} times those of half as many"
            print(line)
            before = taken, calls


if __name__ == "__main__":
    main()
