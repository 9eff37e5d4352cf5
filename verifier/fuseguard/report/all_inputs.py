"""What was proved for every input, as text and as JSON-ready data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fuseguard.engine.shown import counted
from fuseguard.report.lines import Line, Style
from fuseguard.report.locations import shown_place
from fuseguard.report.numbers import json_number, short
from fuseguard.report.quoting import quoted

if TYPE_CHECKING:  # it imports torch
    from fuseguard.executorch.all_inputs.results import AllInputs, CellProof, Counterexample

#: Cells of one status that are written out, and codes of a counterexample.
_MOST_CELLS = 10
_MOST_CODES = 6
_STYLES: dict[str, Style] = {"refuted": "error", "sampled": "note"}


def render(found: AllInputs) -> Iterator[Line]:
    """How many cells are proved, then those that are not: the refuted ones first."""
    proved = sum(cell.status == "proved" for cell in found.cells)
    yield Line("")
    share = f"{proved} of {counted(len(found.cells), 'cell')} proved ({100 * found.share_proved:.1f} %)"
    yield Line(("for every input", "error" if found.refuted else "good"), f": {share}")
    for status, cells in (("refuted", found.refuted), ("sampled", found.remaining)):
        for cell in cells[:_MOST_CELLS]:
            yield from _cell(cell, _STYLES[status])
        if len(cells) > _MOST_CELLS:
            yield Line(f"  and {len(cells) - _MOST_CELLS} more {status}; --output-format json has all")


def _cell(cell: CellProof, style: Style) -> Iterator[Line]:
    ops = quoted(" -> ".join(cell.ops) or "the value itself")
    status = f"sampled ({cell.count})" if cell.status == "sampled" else cell.status
    yield Line((f"  {status}", style), f": {ops} at {quoted(cell.value)}", hang=4)
    rows = [
        ("source", quoted(shown_place(cell.source, cell.module))),
        ("joined", quoted(", ".join(cell.joined))),
        ("reason", quoted(cell.reason)),
    ]
    example = cell.counterexample
    if example is not None:
        index = ", ".join(map(str, example.at))
        values = f"expected {short(example.expected)}, the lowering has {short(example.actual)}"
        rows += [
            ("shown by", _codes(example)),
            ("then", f"element [{index}]: {values}"),
            ("note", "the program's own inputs may never produce these codes"),
        ]
    for label, value in rows:
        if value:
            yield Line((f"    {label:9}", "dim"), value, hang=13)


def _codes(example: Counterexample) -> str:
    texts = [f"{quoted(name)}[{', '.join(map(str, index))}] = {code}" for name, index, code in example.codes]
    more = f" and {len(texts) - _MOST_CODES} more" if len(texts) > _MOST_CODES else ""
    return ", ".join(texts[:_MOST_CODES]) + more or "any codes"


def to_dict(found: AllInputs) -> dict[str, Any]:
    """JSON-ready; infinities are strings."""
    return {"share_proved": found.share_proved, "seconds": found.seconds, "cells": [_to_dict(c) for c in found.cells]}


def _to_dict(cell: CellProof) -> dict[str, Any]:
    example = cell.counterexample
    return {
        "value": cell.value, "status": cell.status, "method": cell.method, "count": cell.count, "ops": list(cell.ops),
        "operands": list(cell.operands), "joined": list(cell.joined), "tensor": cell.tensor, "reason": cell.reason,
        "ties": cell.ties, "rounded": cell.rounded, "bound": cell.bound, "saturated": cell.saturated,
        "source": cell.source, "module": cell.module,
        "counterexample": None if example is None else {
            "codes": [{"operand": name, "at": list(index), "code": code} for name, index, code in example.codes],
            "at": list(example.at), "expected": json_number(example.expected), "actual": json_number(example.actual),
        },
    }  # fmt: skip
