"""All rules on large graphs: wall time, and the ratio when the node count doubles (2 is linear).

python tests/bench/many_nodes.py [nodes]
"""

from __future__ import annotations

import sys
import time
from itertools import cycle, islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from fuseguard.engine import load_registry, run
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target
from fuseguard_testkit.side_by_side import side_by_side


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
    examples = [example.graph() for rule in load_registry().rules for example in rule.bad]
    aten = [graph for graph in examples if graph.dialect == "aten"]
    copies = nodes * len(aten) // sum(len(graph) - 1 for graph in aten)  # the outputs become one
    return side_by_side(list(islice(cycle(aten), copies)))


def measure(name: str, graph: Graph, before: float) -> float:
    """Prints and returns the best of three lints in seconds; ``before`` is that of half as many nodes, or 0."""
    target = Target.parse("TOSA-1.0+INT+FP", "1.5.1")
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        report = run(graph, target, load_registry().rules)
        best = min(best, time.perf_counter() - start)
    ratio = f", {best / before:.2f} times the time of half as many" if before else ""
    print(f"{name}: {len(graph):6} nodes, {len(report.findings):5} findings: {best:.3f} s{ratio}")
    return best


def main() -> None:
    nodes = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    for program in (chain, mixed):
        before = 0.0
        for count in (nodes // 2, nodes, nodes * 2):
            before = measure(program.__name__, program(count), before)


if __name__ == "__main__":
    main()
