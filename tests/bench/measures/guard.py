"""What the guard adds to a lowering: the seconds inside its checks, as a share of the guarded lowering.

    python tests/bench/measures/guard.py [lowerings]

The difference between a guarded and an unguarded lowering is smaller than that between two unguarded ones.
"""

from __future__ import annotations

import copy
import logging
import statistics
import sys
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))
import torch
from measuring import report
from networks import networks

from fuseguard.executorch import partition, support_checks
from fuseguard.executorch.lowering import compile_spec_for, lower_to_edge
from fuseguard.executorch.quantizing import quantize
from fuseguard.target import Target

SPEC = "TOSA-1.0+INT+FP"


def main() -> None:
    lowerings = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    spec = compile_spec_for(Target.parse(SPEC))
    inside = 0.0
    accepts = partition._Analysis.accepts

    def timed(self: partition._Analysis, node: torch.fx.Node, code: str) -> bool:
        nonlocal inside
        start = time.process_time()
        try:
            return accepts(self, node, code)
        finally:
            inside += time.process_time() - start

    partition._Analysis.accepts = timed  # type: ignore[method-assign]
    figures: dict[str, float] = {}
    made = networks(layers=1)
    for name in ("small", "transformer"):
        module, inputs = made[name]
        program = quantize(module, inputs, SPEC)
        shares, seconds = [], []
        for _ in range(lowerings):
            copied, inside, start = copy.deepcopy(program), 0.0, time.process_time()
            lower_to_edge(copied, spec, support_checks(spec))
            seconds.append(time.process_time() - start)
            shares.append(inside / seconds[-1])
        figures[name] = statistics.median(shares)
        figures[f"{name}_seconds"] = min(seconds)
    report(**figures)


if __name__ == "__main__":
    main()
