"""A proof as one HTML page: the verdict, where the lowering goes wrong, and the error of every value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fuseguard.report import cells
from fuseguard.report import proof as proof_report
from fuseguard.report.html import page
from fuseguard.report.quoting import name

if TYPE_CHECKING:  # both import torch
    from fuseguard.executorch.guard_report import GuardReport
    from fuseguard.executorch.proof import Proof

_SCRIPTS = ("common.js", "proof_values.js", "proof.js")


def render(
    proof: Proof, file: str, inputs: Sequence[str], guard: GuardReport | None = None, exceeded: Sequence[str] = ()
) -> str:
    """The page. The arguments are those of :func:`fuseguard.report.proof.to_dict`."""
    data = {
        **proof_report.to_dict(proof, file, inputs, guard, exceeded),
        "kind": "proof",
        "headline": proof_report.headline(proof),
        "cells_summary": cells.summary(proof.cells),
        "cross_check": proof_report.cross_check(proof) if proof.end_to_end else "",
        "guard_lines": guard.lines() if guard is not None else [],
    }
    return page(f"fuseguard: {proof.outcome}: {name(file) or 'program'}", data, _SCRIPTS)
