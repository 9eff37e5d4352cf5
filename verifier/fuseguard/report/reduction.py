"""A reduction as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fuseguard.engine.shown import counted
from fuseguard.report.lines import Line
from fuseguard.report.numbers import short
from fuseguard.report.quoting import quoted

if TYPE_CHECKING:  # imports torch
    from fuseguard.executorch.reducing.reduction import Reduction

_STOPPED = {
    "budget": "the budget is spent; there may be a smaller program (--budget)",
    "interrupted": "interrupted; there may be a smaller program",
}


def render(reduction: Reduction, file: str, written: Sequence[str]) -> Iterator[Line]:
    """What is left, how it fails, and what was written."""
    proof = reduction.proof
    before = counted(reduction.ops_before, "op")
    yield Line((proof.outcome, "error"), f": {quoted(file)}: {before}, reduced to {len(reduction.ops)}", hang=2)
    rows = [("target", proof.target), ("ops", quoted(", ".join(reduction.ops)))]
    shapes = ", ".join(str(tuple(value.shape)) for value in reduction.inputs)
    rows.append(("inputs", shapes or "none"))
    if proof.exception:
        rows.append(("exception", quoted(proof.exception.strip().partition("\n")[0])))
    if proof.outcome == "wrong":
        steps = "" if proof.max_error_steps is None else f", {short(proof.max_error_steps)} steps of the output"
        rows.append(("mismatches", f"{proof.mismatches} of {counted(proof.elements, 'element')}"))
        rows.append(("max error", f"{short(proof.max_error)}{steps}"))
    rows.append(("tried", f"{counted(reduction.tried, 'candidate')} in {reduction.seconds:.0f} s"))
    if reduction.stopped:
        rows.append(("stopped", _STOPPED[reduction.stopped]))
    rows += [("written", quoted(path)) for path in written]
    for label, value in rows:
        yield Line((f"  {label:12}", "dim"), value, hang=14)
