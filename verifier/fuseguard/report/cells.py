"""Where a lowering goes wrong, as text: the wrong places first, and a table of all quantized values on request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fuseguard.engine.shown import counted
from fuseguard.report.lines import Line, table
from fuseguard.report.locations import shown_place
from fuseguard.report.numbers import json_number, short
from fuseguard.report.quoting import quoted

if TYPE_CHECKING:  # it imports torch
    from fuseguard.executorch.lockstep.cells import Cell, Status

_STATUSES: tuple[Status, ...] = ("exact", "tie", "saturated", "rounded", "wrong", "not found")
#: Wrong places that are written out. A program that is wrong in more of them has a common cause.
_MOST_PLACES = 10


def summary(cells: Sequence[Cell]) -> str:
    """How many cells have which status, the best first."""
    counts = Counter(cell.status for cell in cells)
    return ", ".join(f"{counts[status]} {status}" for status in _STATUSES if counts[status])


def places(cells: Sequence[Cell], outcome: str, engine: str = "") -> Iterator[Line]:
    """The wrong cells, the earliest first, or those that a bounded outcome rests on. Nothing if there are no cells.

    ``engine``: what ran the delegates, if it yields something else than the reference model, which the cells are of.
    """
    wrong = [cell for cell in cells if cell.status == "wrong" and (cell.certain or outcome == "wrong")]
    if wrong:
        yield Line("")
        yield Line((f"wrong in {counted(len(wrong), 'place')}", "error"), ", the earliest first:")
        for cell in wrong[:_MOST_PLACES]:
            yield from _place(cell)
        yield from _left_out(wrong)
    elif cells and outcome == "wrong" and engine:
        yield Line("")
        yield Line(f"no cell is wrong in the reference model: the engine {engine} differs from it.")
    elif cells and outcome == "wrong":
        yield Line("")
        yield Line("no cell is wrong: the fault is in control flow, or a value was not found. --layers has all.")
    elif outcome == "bounded":
        yield from _bounded([cell for cell in cells if cell.status in ("rounded", "saturated")])


def _bounded(cells: Sequence[Cell]) -> Iterator[Line]:
    if not cells:
        return
    yield Line("")
    yield Line((f"bounded in {counted(len(cells), 'place')}", "note"), ":")
    for cell in cells[:_MOST_PLACES]:
        ops = quoted(" -> ".join(cell.ops) or "the value itself")
        most = f" of at most {short(cell.bound)}" if cell.bound else ""
        off = f"{cell.status} by up to {short(cell.steps)} steps{most}, {cell.differing} of {cell.elements}"
        joined = f", without the rounding of {quoted(', '.join(cell.joined))}" if cell.joined else ""
        yield Line(f"  {ops} at {quoted(cell.value)}: {off}{joined}", hang=4)
    yield from _left_out(cells)


def _left_out(cells: Sequence[Cell]) -> Iterator[Line]:
    if len(cells) > _MOST_PLACES:
        yield Line(f"  and {len(cells) - _MOST_PLACES} more; --output-format json has all")


def _place(cell: Cell) -> Iterator[Line]:
    ops = " -> ".join(cell.ops) or "the value itself"
    yield Line(("  " + quoted(ops), "error"), f" at {quoted(cell.value)}", hang=4)
    index = ", ".join(map(str, cell.at))
    rows = [
        ("source", quoted(shown_place(cell.source, cell.module))),
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
        "differing": cell.differing, "ties": cell.ties, "certain": cell.certain, "elements": cell.elements,
        "sqnr_db": json_number(cell.sqnr_db), "float_node": cell.float_node,
        "float_sqnr_db": json_number(cell.float_sqnr_db),
        "quantization_sqnr_db": json_number(cell.quantization_sqnr_db), "at": list(cell.at),
        "expected": json_number(cell.expected), "actual": json_number(cell.actual), "witness": dict(cell.witness),
        "source": cell.source, "module": cell.module, "findings": list(cell.findings),
        "errors": [[steps, count] for steps, count in cell.errors],
    }  # fmt: skip


def layers(cells: Sequence[Cell]) -> Iterator[Line]:
    """One line for each quantized value and result, in the program's order.

    The ratios of signal to error are those of the whole program up to the value. Where there is a float program, what
    could not be found in it follows.
    """
    from_float = [cell for cell in cells if cell.float_node]
    heads = ["value", "status", "steps", "differing", "dB to eager"]
    heads += ["dB to float", "eager to float"] if from_float else []
    rows = []
    for cell in cells:
        row = [quoted(cell.value), cell.status, short(cell.steps), f"{cell.differing} of {cell.elements}"]
        row.append(_ratio(cell.sqnr_db))
        row += [_ratio(cell.float_sqnr_db), _ratio(cell.quantization_sqnr_db)] if from_float else []
        rows.append((*row, quoted(" -> ".join(cell.ops))))
    yield Line("")
    yield from table(rows, (*heads, "ops"), 2)
    missing = [quoted(cell.value) for cell in cells if from_float and not cell.float_node]
    if missing:
        yield Line(f"not found in the float program: {', '.join(missing)}", hang=2)


def _ratio(decibels: float | None) -> str:
    return "-" if decibels is None else f"{decibels:.4g}"
