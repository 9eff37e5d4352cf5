"""Repair of a program with many violations, against one torch.export of the float program.

python tests/bench/measures/repair.py [blocks]
"""

from __future__ import annotations

import logging
import sys
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))
import torch
from measuring import report
from networks import Clamped

import fuseguard
from fuseguard.executorch import repair
from fuseguard.executorch.quantizing import quantize

SPEC = "TOSA-1.0+INT+FP"


def main() -> None:
    blocks = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    module, inputs = Clamped(blocks).eval(), (torch.randn(1, 2, 4, 4),)
    start = time.process_time()
    torch.export.export(module, inputs)
    export = time.process_time() - start
    program = quantize(module, inputs, SPEC)
    found = fuseguard.check(program, SPEC).findings
    start = time.process_time()
    repaired = repair(program, SPEC)
    seconds = time.process_time() - start
    report(
        findings=len(found),
        remaining=len(repaired.remaining),
        seconds=seconds,
        export=export,
        ratio=seconds / export,
    )


if __name__ == "__main__":
    main()
