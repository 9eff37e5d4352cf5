"""All rules on large graphs: wall time, and the ratio when the node count doubles (2 is linear).

python tests/bench/many_nodes.py [nodes]
"""

from __future__ import annotations

import sys
import time

from fuseguard.engine import load_registry, run
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target


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


def main() -> None:
    nodes = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    rules = load_registry().rules
    target = Target.parse("TOSA-1.0+INT+FP", "1.5.1")
    before = 0.0
    for count in (nodes // 2, nodes, nodes * 2):
        graph = chain(count)
        best = float("inf")
        for _ in range(3):
            start = time.perf_counter()
            report = run(graph, target, rules)
            best = min(best, time.perf_counter() - start)
        ratio = f", {best / before:.2f} times the time of half as many" if before else ""
        print(f"{len(graph):6} nodes, {len(report.findings):5} findings: {best:.3f} s{ratio}")
        before = best


if __name__ == "__main__":
    main()
