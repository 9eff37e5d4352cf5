"""A proof as one HTML page: the verdict, where the lowering goes wrong, and the error of every value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fuseguard.report import proof as proof_report
from fuseguard.report.html import page
from fuseguard.report.quoting import name

if TYPE_CHECKING:  # both import torch
    from fuseguard.executorch.guard_report import GuardReport
    from fuseguard.executorch.proof import Proof

_SCRIPTS = ("common.js", "proof.js")


def render(
    proof: Proof, file: str, inputs: Sequence[str], guard: GuardReport | None = None, exceeded: Sequence[str] = ()
) -> str:
    """The page. The arguments are those of :func:`fuseguard.report.proof.to_dict`."""
    data = {**proof_report.to_dict(proof, file, inputs, guard, exceeded), "kind": "proof"}
    return page(f"fuseguard: {proof.outcome}: {name(file) or 'program'}", data, _SCRIPTS)
