"""What a repair costs on an Ethos-U, by Vela's own performance estimate. Run it with ``make cost``.

Lowers the digits program (``make demo`` writes it) as the backend would, guarded and repaired, counts the operators of
every delegate's TOSA graph, hands it to Vela and adds up the cycles that its summary states. What is left on the CPU
costs cycles too, which Vela does not know; the table counts those ops.
"""

from __future__ import annotations

import csv
import logging
import subprocess
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)

import torch  # noqa: E402
from tosa.Op import Op  # noqa: E402
from tosa.TosaGraph import TosaGraph  # noqa: E402

from fuseguard.executorch import repair, support_checks  # noqa: E402
from fuseguard.executorch.lowering import Lowered, compile_spec_for, lower_to_edge  # noqa: E402
from fuseguard.target import Target  # noqa: E402

ACCELERATORS = ("ethos-u55-128", "ethos-u85-256")
WAYS = ("unguarded", "guarded", "repaired")
PROGRAM = Path(__file__).parent / "out" / "digits.pt2"
WIDTHS = (14, 9, 10, 9, 9, 13, 12)


@dataclass(frozen=True)
class Cost:
    """Vela's estimate over all delegates of a lowering: cycles for one batch, and NPU operators. And TOSA operators."""

    cycles: float
    operators: int
    tosa: int


def main() -> int:
    """0 if Vela compiled everything; what it refuses raises."""
    if not PROGRAM.exists():
        sys.exit(f"{PROGRAM} is missing; run make demo first.")
    _print_row(("accelerator", "lowering", "delegates", "TOSA ops", "NPU ops", "NPU cycles", "ops on CPU"))
    for accelerator in ACCELERATORS:
        for way in WAYS:
            lowered = _lower(accelerator, way)
            cost = _estimate(lowered, accelerator)
            on_cpu = sum("quantize_per" not in name for name in lowered.cpu_ops)
            counts = (str(lowered.delegates), str(cost.tosa), str(cost.operators))
            _print_row((accelerator, way, *counts, f"{cost.cycles:,.0f}", str(on_cpu)))
    return 0


def _lower(accelerator: str, way: str) -> Lowered:
    program = torch.export.load(PROGRAM)
    target = Target.parse(accelerator)
    if way == "repaired":
        program = repair(program, target).program
    return lower_to_edge(program, compile_spec_for(target), support_checks(target) if way == "guarded" else None)


def _estimate(lowered: Lowered, accelerator: str) -> Cost:
    module = lowered.program.graph_module
    graphs = [
        getattr(module, str(node.args[0].target)).processed_bytes
        for node in module.graph.nodes
        if "executorch_call_delegate" in str(node.target)
    ]
    costs = [_vela(graph, accelerator) for graph in graphs]
    return Cost(
        sum(cost.cycles for cost in costs), sum(cost.operators for cost in costs), sum(cost.tosa for cost in costs)
    )


def _vela(graph: bytes, accelerator: str) -> Cost:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "delegate.tosa"
        path.write_bytes(graph)
        vela = Path(sys.executable).with_name("vela")
        run = subprocess.run(
            [vela, path, f"--accelerator-config={accelerator}", f"--output-dir={folder}"],
            check=True,
            capture_output=True,
            text=True,
        )
        (summary,) = Path(folder).glob("*summary*.csv")
        with summary.open(newline="") as file:
            row = next(csv.DictReader(file))
    operators = next(line for line in run.stdout.splitlines() if line.startswith("NPU operators"))
    return Cost(float(row["cycles_total"]), int(operators.partition("=")[2].split()[0]), _tosa_operators(graph))


def _tosa_operators(graph: bytes) -> int:
    """How many operators a serialized TOSA graph has, constants left out."""
    region = TosaGraph.GetRootAs(graph, 0).Regions(0)
    blocks = [region.Blocks(number) for number in range(region.BlocksLength())]
    ops = [block.Operators(number).Op() for block in blocks for number in range(block.OperatorsLength())]
    return sum(op not in (Op.CONST, Op.CONST_SHAPE) for op in ops)


def _print_row(cells: tuple[str, ...]) -> None:
    print("  ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)).rstrip(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
