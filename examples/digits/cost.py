"""What a repair costs on an Ethos-U, by Vela's own performance estimate. Run it with ``make cost``.

Lowers the digits program (``make demo`` writes it) as the backend would, guarded and repaired, has Vela compile every
delegate with the system configuration of the backend's compile spec, and adds up the cycles. What is left on the CPU
costs cycles too, which Vela does not know; the table counts those ops.
"""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)

import torch  # noqa: E402

from fuseguard.executorch import repair, support_checks  # noqa: E402
from fuseguard.executorch.costs import Estimate, estimate  # noqa: E402
from fuseguard.target import Target  # noqa: E402

ACCELERATORS = ("ethos-u55-128", "ethos-u85-256")
WAYS = ("unguarded", "guarded", "repaired")
PROGRAM = Path(__file__).parent / "out" / "digits.pt2"
WIDTHS = (14, 9, 10, 9, 12, 13, 12)


def main() -> int:
    """0 if Vela compiled everything, else 1."""
    if not PROGRAM.exists():
        sys.exit(f"{PROGRAM} is missing; run make demo first.")
    _print_row(("accelerator", "lowering", "delegates", "TOSA ops", "NPU commands", "NPU cycles", "ops on CPU"))
    faults = 0
    for accelerator in ACCELERATORS:
        for way in WAYS:
            found = _estimate(accelerator, way)
            npu = found.npu
            ops = [op for delegate in npu.delegates for op in delegate.ops]
            counts = (str(len(npu.delegates)), str(len(ops)), str(sum(op.commands for op in ops)))
            _print_row((accelerator, way, *counts, found.fault or f"{npu.cycles:,}", str(found.cpu_ops)))
            faults += bool(found.fault)
    return 1 if faults else 0


def _estimate(accelerator: str, way: str) -> Estimate:
    program = torch.export.load(PROGRAM)
    target = Target.parse(accelerator)
    if way == "repaired":
        program = repair(program, target).program
    return estimate(program, target, support_checks(target) if way == "guarded" else None)


def _print_row(cells: tuple[str, ...]) -> None:
    print("  ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)).rstrip(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
