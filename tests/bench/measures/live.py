"""A live check of an edge program, against ExecuTorch's own verifier of edge programs.

python tests/bench/measures/live.py
"""

from __future__ import annotations

import logging
import sys
import warnings
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))
from executorch.exir import to_edge
from executorch.exir.verification.verifier import EXIREdgeDialectVerifier
from measuring import best, report
from networks import networks

import fuseguard
from fuseguard.executorch.quantizing import quantize

RUNS = 7
SPEC = "TOSA-1.0+INT+FP"


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    figures: dict[str, float] = {}
    made = networks(layers=2)
    for name in ("transformer", "small"):
        module, inputs = made[name]
        edge = to_edge(quantize(module, inputs, SPEC)).exported_program()
        verifier = EXIREdgeDialectVerifier()
        checks, verified = [], []
        for _ in range(RUNS):
            checks.append(best(partial(fuseguard.check, edge, SPEC), 1))
            verified.append(best(partial(verifier, edge), 1))
        figures[name] = min(checks) / min(verified)
        figures[f"{name}_ms"] = min(checks) * 1e3
        figures[f"{name}_verifier_ms"] = min(verified) * 1e3
    report(**figures)


if __name__ == "__main__":
    main()
