"""Says which op of the program a TOSA operator belongs to where an engine parts from the reference model."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace

from fuseguard.executorch.engines.difference import EngineLocation, EngineOp
from fuseguard.executorch.lockstep.cells import Cell
from fuseguard.executorch.lockstep.observing import Observed, Place


def in_program(
    locations: Iterable[EngineLocation], observed: Observed | None, cells: Sequence[Cell]
) -> tuple[EngineLocation, ...]:
    """The locations, each operator with the value of the program that its result is, or that comes next after it.

    ``observed``: the run that the cells are from. Without it or without cells, the locations stay as they are.
    """
    if observed is None or not cells:
        return tuple(locations)
    by_tensor = {cell.tensor: cell for cell in reversed(cells) if cell.tensor}
    return tuple(
        replace(item, ops=tuple(_placed(op, f"delegate {item.delegate}", observed, by_tensor) for op in item.ops))
        for item in locations
    )


def _placed(op: EngineOp, delegate: str, observed: Observed, by_tensor: dict[str, Cell]) -> EngineOp:
    place = (delegate, op.tensor)
    # A delegate in the body of control flow is not observed, and the numbers of those after it are others.
    if observed.ops.get(place) != op.kinds[-1]:
        return op
    cell = _next_cell(place, observed, by_tensor)
    return op if cell is None else replace(op, value=cell.value, program_ops=cell.ops, source=cell.source)


def _next_cell(start: Place, observed: Observed, by_tensor: dict[str, Cell]) -> Cell | None:
    """The cell whose codes are at ``start``, else the nearest one that is computed from it."""
    pending, seen = deque([start]), {start}
    while pending:
        delegate, name = place = pending.popleft()
        found = by_tensor.get(f"{name} of {delegate}" if delegate else name)
        if found is not None:
            return found
        for after in observed.flow.successors(place):
            if after not in seen:
                seen.add(after)
                pending.append(after)
    return None
