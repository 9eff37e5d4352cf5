"""How often the proofs of one program lower it: unguarded, guarded and repaired, on three input sets.

python tests/bench/measures/prove.py
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))
import torch
from measuring import report
from networks import Clamped

from fuseguard.executorch import lowering, prove, repair
from fuseguard.executorch.quantizing import quantize

SPEC = "TOSA-1.0+INT+FP"


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    count = 0
    original: Callable[..., Any] = lowering.to_edge_transform_and_lower

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        return original(*arguments, **options)

    lowering.to_edge_transform_and_lower = counted  # type: ignore[assignment]
    inputs = [(torch.randn(1, 2, 4, 4),) for _ in range(3)]
    program = quantize(Clamped(1).eval(), inputs[0], SPEC)
    prove(program, inputs, SPEC)
    prove(program, inputs, SPEC, checks="guard")
    prove(repair(program, SPEC).program, inputs, SPEC)
    report(lowerings=count)


if __name__ == "__main__":
    main()
