"""What the guard adds to ``to_edge_transform_and_lower`` on a program it finds no fault with.

    python tests/bench/guard_overhead.py [pairs]

Lowers a small and a larger network in turn with and without the guard, prints medians, their ratio, and the time
inside the checks themselves.
"""

from __future__ import annotations

import copy
import logging
import statistics
import sys
import time
import warnings
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))
from fuseguard.executorch import partition, support_checks
from fuseguard.executorch.lowering import compile_spec_for, lower_to_edge
from fuseguard.target import Target
from fuseguard_testkit.quantizing import quantize

SPEC = "TOSA-1.0+INT+FP"


class Blocks(nn.Module):
    """``depth`` conv -> relu blocks with a residual add each."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(depth))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for conv in self.convs:
            x = x + torch.relu(conv(x))
        return x


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    torch.set_num_threads(1)
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    spec = compile_spec_for(Target.parse(SPEC))
    inside = 0.0
    accepts = partition._Analysis.accepts

    def timed(self: partition._Analysis, node: torch.fx.Node, code: str) -> bool:
        nonlocal inside
        start = time.perf_counter()
        try:
            return accepts(self, node, code)
        finally:
            inside += time.perf_counter() - start

    partition._Analysis.accepts = timed  # type: ignore[method-assign]
    for depth in (4, 16):
        inputs = (torch.randn(1, 4, 8, 8),)
        program = quantize(Blocks(depth), inputs, SPEC)
        plain, guarded, share = [], [], []
        for _ in range(pairs + 1):
            start = time.perf_counter()
            lower_to_edge(copy.deepcopy(program), spec)
            plain.append(time.perf_counter() - start)
            inside = 0.0
            start = time.perf_counter()
            lower_to_edge(copy.deepcopy(program), spec, support_checks(spec))
            guarded.append(time.perf_counter() - start)
            share.append(inside / guarded[-1])
        ratio = statistics.median(g / p for g, p in zip(guarded[1:], plain[1:], strict=True))
        print(
            f"{depth:3} blocks: unguarded {statistics.median(plain[1:]):.3f} s, guarded "
            f"{statistics.median(guarded[1:]):.3f} s, ratio {ratio:.3f}; inside the checks "
            f"{100 * statistics.median(share[1:]):.2f} % of the guarded lowering"
        )


if __name__ == "__main__":
    main()
