"""What the cells of a program say of the whole, beside what the comparison end to end says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fuseguard.executorch.proof import Outcome, Proof

if TYPE_CHECKING:
    from fuseguard.executorch.lockstep.cells import Cell


def decided(proof: Proof, cells: Sequence[Cell]) -> Proof:
    """The proof of a comparison end to end, with its cells and the outcome that they decide."""
    return replace(proof, outcome=outcome_of(cells, proof.outcome), end_to_end=proof.outcome, cells=tuple(cells))


def outcome_of(cells: Sequence[Cell], end_to_end: Outcome) -> Outcome:
    """The outcome of a program: that of its worst cell.

    Each cell is judged on the lowering's own operands. If all of them are right, so are the results, by induction.
    ``end_to_end`` decides in two cases: it is ``wrong`` and some values were not found, so that a cell may hide a
    fault; or a cell is wrong on values that may be others' (``Cell.certain``).
    """
    wrong = [cell for cell in cells if cell.status == "wrong"]
    if any(cell.certain for cell in wrong):
        return "wrong"
    complete = not wrong and all(cell.status != "not found" for cell in cells)
    bounded = any(cell.status in ("rounded", "saturated") for cell in cells)
    if end_to_end == "wrong" and not complete:
        return "wrong"
    if bounded or (end_to_end == "bounded" and not complete):
        return "bounded"
    return "exact"
