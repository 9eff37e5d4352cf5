"""Where a lowering goes wrong, as text: the wrong places first, and a table of all quantized values on request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fuseguard.report.lines import Line, table
from fuseguard.report.numbers import counted, json_number, short
from fuseguard.report.quoting import quoted

if TYPE_CHECKING:  # it imports torch
    from fuseguard.executorch.lockstep.cells import Cell

#: Wrong places that are written out. A program that is wrong in more of them has a common cause.
_MOST_PLACES = 10


def places(cells: Sequence[Cell], outcome: str) -> Iterator[Line]:
    """The wrong cells, the earliest first; a sentence if the outcome is wrong and none is.

    Nothing if nobody asked for cells.
    """
    wrong = [cell for cell in cells if cell.status == "wrong"]
    if not wrong:
        if cells and outcome == "wrong":
            text = "no single op is wrong: what each may round adds up to the error. --layers shows all values."
            yield Line("")
            yield Line(text)
        return
    yield Line("")
    yield Line((f"wrong in {counted(len(wrong), 'place')}", "error"), ", the earliest first:")
    for cell in wrong[:_MOST_PLACES]:
        yield from _place(cell)
    if len(wrong) > _MOST_PLACES:
        yield Line(f"  and {len(wrong) - _MOST_PLACES} more; --output-format json has all")


def _place(cell: Cell) -> Iterator[Line]:
    ops = " -> ".join(cell.ops) or "the value itself"
    yield Line(("  " + quoted(ops), "error"), f" at {quoted(cell.value)}", hang=4)
    where = " ".join(item for item in (cell.source, f"in {cell.module}" if cell.module else "") if item)
    index = ", ".join(map(str, cell.at))
    rows = [
        ("source", quoted(where)),
        ("off by", f"up to {short(cell.steps)} steps, {cell.differing} of {counted(cell.elements, 'element')}"),
        ("worst", f"element [{index}]: expected {short(cell.expected)}, the lowering has {short(cell.actual)}"),
        ("given", ", ".join(f"{quoted(name)} = {code}" for name, code in cell.witness)),
        ("tensor", quoted(cell.tensor) if cell.tensor != cell.value else ""),
        ("joined", quoted(", ".join(cell.joined))),
        ("rule", ", ".join(cell.findings) or "no rule knows this; please report it"),
    ]
    for label, value in rows:
        if value:
            yield Line((f"    {label:8}", "dim"), value, hang=12)


def to_dict(cell: Cell) -> dict[str, Any]:
    """JSON-ready; infinities are strings."""
    return {
        "value": cell.value, "status": cell.status, "ops": list(cell.ops), "operands": list(cell.operands),
        "joined": list(cell.joined), "tensor": cell.tensor, "steps": json_number(cell.steps), "bound": cell.bound,
        "differing": cell.differing, "elements": cell.elements, "at": list(cell.at),
        "expected": json_number(cell.expected), "actual": json_number(cell.actual), "witness": dict(cell.witness),
        "source": cell.source, "module": cell.module, "findings": list(cell.findings),
        "sqnr_db": json_number(cell.sqnr_db), "errors": [[steps, count] for steps, count in cell.errors],
    }  # fmt: skip


def layers(cells: Sequence[Cell]) -> Iterator[Line]:
    """One line for each quantized value and result, in the program's order."""
    rows = [
        (
            quoted(cell.value),
            cell.status,
            short(cell.steps),
            f"{cell.differing} of {cell.elements}",
            quoted(" -> ".join(cell.ops)),
        )
        for cell in cells
    ]
    yield Line("")
    yield from table(rows, ("value", "status", "steps", "differing", "ops"), 2)
