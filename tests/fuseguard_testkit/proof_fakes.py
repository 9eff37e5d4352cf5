"""Proofs and cells without torch: any object with the fields will do."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


def proof(**changes: Any) -> Any:
    fields = {
        "outcome": "exact",
        "target": "TOSA-1.0+INT, ExecuTorch 1.5.1",
        "release": "1.5.1",
        "max_error_steps": 0.0,
        "max_error": 0.0,
        "sqnr_db": float("inf"),
        "mismatches": 0,
        "rounding_ties": 0,
        "elements": 64,
        "explained_by": (),
        "calls": 1,
        "call": 0,
        "differing": (),
        "cpu_ops": ("aten.relu.default", "aten.convolution.default", "aten.relu.default"),
        "delegated_ops": 3,
        "delegates": 1,
        "exception": "",
        "ok": False,
        "exceeded": lambda *limits: (),
    }
    fields |= {"cells": (), "all_inputs": None, "by_inputs": (), "worst": 1, "end_to_end": "", "ties": 0}
    fields |= {"engine": "tosa", "engine_differences": (), "engine_locations": (), "notes": (), "npu": None}
    made = SimpleNamespace(**{**fields, **changes})
    made.judges_disagree = made.end_to_end not in ("", made.outcome)
    made.wrong_cells = tuple(item for item in made.cells if item.status == "wrong")
    return made


def cell(**changes: Any) -> Any:
    fields = {
        "value": "quantize_1", "status": "wrong", "ops": ("conv2d", "relu"), "operands": ("quantize",), "joined": (),
        "tensor": "rescale of delegate 0", "steps": 132.0, "bound": 0.0, "differing": 78, "elements": 144, "ties": 0,
        "certain": True, "float_node": "", "float_sqnr_db": None, "quantization_sqnr_db": None,
        "at": (0, 1), "expected": 10.0, "actual": -122.0, "witness": (("quantize", 3),), "source": "model.py:10",
        "module": "conv", "findings": (), "sqnr_db": 12.5, "errors": ((-132.0, 70), (-100.0, 8)),
    }  # fmt: skip
    return SimpleNamespace(**{**fields, **changes})
