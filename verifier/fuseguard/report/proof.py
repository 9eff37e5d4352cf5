"""A proof as text and as JSON-ready data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fuseguard.engine.shown import counted
from fuseguard.report import all_inputs, cells, npu
from fuseguard.report.json import envelope
from fuseguard.report.lines import Line, Style
from fuseguard.report.numbers import json_number, short
from fuseguard.report.quoting import quoted

if TYPE_CHECKING:  # all of them import torch
    from fuseguard.executorch.engines.difference import EngineLocation
    from fuseguard.executorch.explanations import Explanation
    from fuseguard.executorch.guard_report import GuardReport
    from fuseguard.executorch.proof import Proof

_MEANINGS: dict[str, str] = {
    "exact": "every output code equals the eager program's, rounding ties aside",
    "bounded": "differs from the eager program by no more than saturation (int16: and rescaling) explains",
    "wrong": "lowers, and computes something else",
    "crash": "lowering raises",
    "undefined": "the reference model calls the result undefined (TOSA_UNPREDICTABLE)",
    "runtime_fault": "lowers, and a delegate fails when it is run",
    "not_judged": "lowers, and the reference model cannot run it, which says nothing about the lowering",
}
#: What is said instead where the program was judged cell by cell.
_BY_CELLS: dict[str, str] = {
    "exact": "every code is the one that the program yields",
    "bounded": "every op is right but for what its own arithmetic rounds or saturates",
    "wrong": "lowers, and computes something else",
}
_STYLES: dict[str, Style] = {"exact": "good", "bounded": "note", "not_judged": "note"}


def render(
    proof: Proof,
    file: str,
    inputs: Sequence[str],
    guard: GuardReport | None = None,
    exceeded: Sequence[str] = (),
    layers: bool = False,
) -> Iterator[Line]:
    """The proof line by line.

    ``inputs``: what each input set is called. ``exceeded``: limits of the user's that it exceeds. ``layers``: with a
    table of all quantized values.
    """
    style = _STYLES.get(proof.outcome, "error")
    yield Line((headline(proof), style), f": {quoted(file)}: {_meaning(proof)}", hang=2)
    ran = proof.outcome in ("exact", "bounded", "wrong")
    rows = [("target", proof.target + (" (guarded)" if guard is not None else ""))]
    if proof.by_inputs:
        rows.append(("inputs", f"{quoted(inputs[proof.worst - 1])}, the worst of {len(proof.by_inputs)} input sets"))
    else:
        rows.append(("inputs", quoted(inputs[0])))
    if proof.calls > 1 or proof.call > 1:
        rows.append(("calls", f"{proof.calls} in a row, each on the state that the one before has left"))
    if proof.differing and (proof.calls > 1 or proof.outcome == "wrong"):
        where = f" in call {proof.call}" if proof.calls > 1 else ""
        rows.append(("differs", quoted(", ".join(proof.differing)) + where))
    if proof.engine != "tosa":
        rows.append(("engine", proof.engine))
    rows += [
        ("", quoted(str(item))) if number else ("not as TOSA", quoted(str(item)))
        for number, item in enumerate(proof.engine_differences)
    ]
    rows += [("" if number else "begins", quoted(str(item))) for number, item in enumerate(proof.engine_locations)]
    if proof.exception:
        rows.append(("exception", quoted(proof.exception.strip().partition("\n")[0])))
    if ran:
        steps = "" if proof.max_error_steps is None else f", {_steps(proof.max_error_steps)} of the output"
        all_ties = proof.rounding_ties == proof.mismatches
        ties = f", {'all' if all_ties else proof.rounding_ties} of them rounding ties" if proof.rounding_ties else ""
        at_tie = " (at a rounding tie, where either code is right)" if ties and all_ties else ""
        rows += [
            ("mismatches", f"{proof.mismatches} of {counted(proof.elements, 'element')}{ties}"),
            ("max error", f"{short(proof.max_error)}{steps}{at_tie}"),
            ("SQNR", f"{short(proof.sqnr_db)} dB"),
        ]
        rows += [("explained" if number == 0 else "", _why(item)) for number, item in enumerate(proof.explained_by)]
        if proof.cells:
            rows += [("cells", cells.summary(proof.cells)), ("end to end", cross_check(proof))]
    if proof.outcome != "crash":
        rows += [
            ("delegated", f"{counted(proof.delegated_ops, 'op')} in {counted(proof.delegates, 'delegate')}"),
            ("on the CPU", quoted(_counted_ops(proof.cpu_ops)) or "nothing"),
        ]
    rows += [("note", quoted(note)) for note in proof.notes]
    for label, value in rows:
        yield Line((f"  {label:12}", "dim"), value, hang=14)
    for name, one in zip(inputs if proof.by_inputs else (), proof.by_inputs, strict=True):
        yield Line((f"  {quoted(name)}", "dim"), f": {_in_short(one)}", hang=4)
    for text in exceeded:
        yield Line(("  limit       ", "error"), text, hang=14)
    for line in guard.lines() if guard is not None else ():
        yield Line(f"  {quoted(line)}", hang=6)
    if proof.npu is not None:
        yield from npu.render(proof.npu, proof.cpu_ops)
    yield from cells.places(proof.cells, proof.outcome, proof.engine if proof.engine_differences else "")
    if layers:
        yield from cells.layers(proof.cells)
    if proof.all_inputs is not None:
        yield from all_inputs.render(proof.all_inputs)


def headline(proof: Proof) -> str:
    """The outcome, with the number of ties where every other code is exact."""
    ties = proof.ties if proof.outcome == "exact" else 0
    return f"exact up to {counted(ties, 'tie')}" if ties else proof.outcome


def _meaning(proof: Proof) -> str:
    meanings = _BY_CELLS if proof.end_to_end else _MEANINGS
    return meanings.get(proof.outcome, "")


def cross_check(proof: Proof) -> str:
    """What the comparison of the results alone says, and why it may say something else than the cells."""
    if proof.engine_differences and not proof.wrong_cells:  # cells are those of the reference model
        return f"{proof.end_to_end}; the cells are those of the reference model"
    if not proof.judges_disagree:
        no_cell = proof.outcome == "wrong" and not any(cell.status == "wrong" for cell in proof.cells)
        return f"{proof.end_to_end}; no cell shows it" if no_cell else proof.end_to_end
    if proof.outcome == "wrong":
        return f"{proof.end_to_end}, which is too lenient: a cell is wrong"
    if proof.end_to_end == "wrong":
        return "wrong, which is too strict: every cell is within its bound, and what they round adds up"
    return f"{proof.end_to_end}, from the results alone"


def _in_short(proof: Proof) -> str:
    """One line on the proof of one input set."""
    if proof.outcome not in ("exact", "bounded", "wrong"):
        return proof.outcome
    steps = "" if proof.max_error_steps is None else f", by {_steps(proof.max_error_steps)} at most"
    differ = f"{proof.mismatches} of {counted(proof.elements, 'element')} differ{steps}"
    return f"{proof.outcome}, {differ}, SQNR {short(proof.sqnr_db)} dB"


def _steps(number: float) -> str:
    return f"{short(number)} step{'' if number == 1 else 's'}"


def _why(explanation: Explanation) -> str:
    """What explains elements, how many and where, and which models say so."""
    where = f"{counted(explanation.elements, 'element')} of {quoted(', '.join(explanation.results))}"
    shared = "; rules rely on it too" if explanation.shared else ""
    return f"{explanation.name}: {where} (by {', '.join(explanation.models)}{shared})"


def _counted_ops(ops: tuple[str, ...]) -> str:
    counts: dict[str, int] = {}
    for op in ops:
        counts[op] = counts.get(op, 0) + 1
    return ", ".join(op if count == 1 else f"{op} x{count}" for op, count in counts.items())


def to_dict(
    proof: Proof,
    file: str,
    inputs: Sequence[str],
    guard: GuardReport | None = None,
    exceeded: Sequence[str] = (),
) -> dict[str, Any]:
    """The proof as JSON-ready data; infinities are strings.

    ``inputs``: what each input set is called. ``exceeded``: limits of the user's that it exceeds.
    """
    return {
        **envelope(),
        "file": file,
        "inputs": inputs[proof.worst - 1],
        "input_sets": [
            {"inputs": name, "outcome": one.outcome, **_figures(one)}
            for name, one in zip(inputs, proof.by_inputs or (proof,) * len(inputs), strict=True)
        ],
        "outcome": proof.outcome,
        "outcome_meaning": _meaning(proof),
        "end_to_end": proof.end_to_end,
        "judges_disagree": proof.judges_disagree,
        "ties": proof.ties,
        "target": proof.target,
        "release": proof.release,
        "engine": proof.engine,
        "engine_differences": [
            {
                "delegate": item.delegate,
                "output": item.output,
                "tensor": item.tensor,
                "differing": item.differing,
                "elements": item.elements,
                "largest": json_number(item.largest),
                "at": list(item.at),
                "expected": json_number(item.expected),
                "actual": json_number(item.actual),
                "shared_with": list(item.shared_with),
            }
            for item in proof.engine_differences
        ],
        "engine_locations": [_location(item) for item in proof.engine_locations],
        "notes": list(proof.notes),
        "npu": None if proof.npu is None else npu.to_dict(proof.npu),
        "guarded": guard is not None,
        **_figures(proof),
        "explained_by": [
            {
                "name": item.name,
                "meaning": item.meaning,
                "models": list(item.models),
                "shared_with_rules": list(item.shared),
                "elements": item.elements,
                "results": list(item.results),
            }
            for item in proof.explained_by
        ],
        "calls": proof.calls,
        "call": proof.call,
        "differing": list(proof.differing),
        "delegates": proof.delegates,
        "delegated_ops": proof.delegated_ops,
        "cpu_ops": list(proof.cpu_ops),
        "exception": proof.exception,
        "exceeded": list(exceeded),
        "cached": None,
        "cells": [cells.to_dict(cell) for cell in proof.cells],
        "all_inputs": None if proof.all_inputs is None else all_inputs.to_dict(proof.all_inputs),
        "guard": guard.to_dict() if guard is not None else None,
    }


def _location(item: EngineLocation) -> dict[str, Any]:
    return {
        "delegate": item.delegate,
        "compared": item.compared,
        "tensors": item.tensors,
        "ops": [
            {
                "kinds": list(op.kinds),
                "tensor": op.tensor,
                "operands": list(op.operands),
                "differing": op.differing,
                "elements": op.elements,
                "largest": json_number(op.largest),
                "at": list(op.at),
                "expected": json_number(op.expected),
                "actual": json_number(op.actual),
                "value": op.value,
                "program_ops": list(op.program_ops),
                "source": op.source,
            }
            for op in item.ops
        ],
        "reproduced": list(item.reproduced),
        "merged": [list(group) for group in item.merged],
        "reason": item.reason,
        "summary": str(item),
    }


def _figures(proof: Proof) -> dict[str, Any]:
    return {
        "max_error_steps": json_number(proof.max_error_steps),
        "max_error": json_number(proof.max_error),
        "sqnr_db": json_number(proof.sqnr_db),
        "mismatches": proof.mismatches,
        "rounding_ties": proof.rounding_ties,
        "elements": proof.elements,
    }
