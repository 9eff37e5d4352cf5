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

    Each cell is judged on the lowering's own operands. If all of them are right, so are the results, by induction. A
    value that was not found is computed as the program says, and what reads it is judged on that: a fault in it shows
    there. Only a reader that is right if the value was never rounded says nothing of the value itself.
    ``end_to_end`` decides in two cases: it is ``wrong`` and there is such a reader, whose cell may hide a fault; or a
    cell is wrong on values that may be others' (``Cell.certain``).
    """
    wrong = [cell for cell in cells if cell.status == "wrong"]
    if any(cell.certain for cell in wrong):
        return "wrong"
    unfound = {cell.value for cell in cells if cell.status == "not found"}
    bounded = [cell for cell in cells if cell.status in ("rounded", "saturated")]
    complete = not wrong and all(unfound.isdisjoint(cell.joined) for cell in bounded)
    if end_to_end == "wrong" and not complete:
        return "wrong"
    if bounded or (end_to_end == "bounded" and not complete):
        return "bounded"
    return "exact"
