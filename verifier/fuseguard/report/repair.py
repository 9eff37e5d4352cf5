"""A repair as text and as JSON-ready data: each rewrite, what it was for, and how far it is proved."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fuseguard.engine.finding import COST
from fuseguard.engine.rounds import Repair
from fuseguard.engine.shown import counted, place_of
from fuseguard.report.json import envelope, finding_dict
from fuseguard.report.lines import Line
from fuseguard.report.numbers import json_number, short
from fuseguard.report.quoting import quoted
from fuseguard.report.text import repair_known

if TYPE_CHECKING:  # all of them import torch
    from fuseguard.executorch.proof import Proof
    from fuseguard.executorch.repairs import RepairResult
    from fuseguard.executorch.verified_repair import VerifiedRepair


def render(verified: VerifiedRepair, file: str, written: str) -> Iterator[Line]:
    """The repairs and how far each is proved, what was tried, what is left. ``written``: the new file, "" for none."""
    result = verified.result
    yield Line((quoted(file), "strong"), f": {counted(len(result.applied), 'repair')} for {result.target}")
    for repair in result.applied:
        finding = repair.finding
        where = f" in {quoted(finding.graph)}" if finding.graph else ""
        where += f" at {quoted(place_of(finding.source))}" if finding.source else ""
        state = _state(repair, verified)
        yield Line((f"  repaired[{finding.code}]", "good"), f" {quoted(finding.island)}{where}: {state}", hang=4)
        for edit in repair.rewrite.edits:
            yield Line(f"    {quoted(str(edit))}", hang=6)
        for label, value in finding.details:
            if label == COST:
                yield Line(("    cost", "dim"), f": {quoted(value)}", hang=6)
    yield from _tried(verified)
    for finding in result.remaining:
        if finding.refuse or finding.severity.rank == 2:
            yield Line((f"  remains[{finding.code}]", "error"), f" {quoted(finding.message)}", hang=4)
            yield Line(f"    {quoted(finding.remedy)}", hang=4)
            yield Line(("    repair", "dim"), f": {repair_known(finding)}", hang=6)
    if not result.applied and not result.remaining:
        yield Line("  There is nothing to repair: the program is unchanged.")
    if written:
        yield Line(("  written", "dim"), f": {quoted(written)}")


def _state(repair: Repair, verified: VerifiedRepair) -> str:
    """How far a repair is proved: by its rule, by the eager results, by the judge."""
    if not repair.exact:
        eager = "not exact"
    elif verified.eager_error == 0:
        eager = "exact, equal to the bit"
    else:
        eager = "exact by itself"  # what differs is another repair's
    return f"{eager}, {f'judged {verified.proof.outcome}' if verified.proof is not None else 'not judged'}"


def _tried(verified: VerifiedRepair) -> Iterator[Line]:
    runs = "one set of inputs" if verified.runs == 1 else f"{verified.runs} sets of inputs"
    error = verified.eager_error
    equal = "are equal to the bit" if error == 0 else f"differ by at most {short(error)}"
    yield Line(("  eager", "dim"), f": the repaired program's results and the original's {equal} on {runs}", hang=4)
    if verified.proof is None:
        yield Line(("  judge", "dim"), ": not run", hang=4)
        return
    proof = verified.proof
    placed = f"{counted(proof.delegated_ops, 'op')} delegated, {_cpu(proof)} on the CPU"
    guarded = " with what remains kept on the CPU" if proof.guarded else ""
    text = f": {proof.outcome} on {proof.target}{guarded}; {placed}"
    yield Line(("  judge", "dim"), text + (f"; {quoted(proof.exception)}" if proof.exception else ""), hang=4)


def _cpu(proof: Proof) -> int:
    return sum("quantize_per" not in op for op in proof.cpu_ops)


def difference(before: Sequence[str], after: Sequence[str], file: str) -> Iterator[Line]:
    """A unified diff of two programs, one line a node."""
    old, new = ([quoted(line) for line in lines] for lines in (before, after))
    for line in difflib.unified_diff(old, new, f"{quoted(file)} (original)", f"{quoted(file)} (repaired)", lineterm=""):
        yield Line((line, "good" if line.startswith("+") else "error" if line.startswith("-") else ""))


def result_dict(result: RepairResult) -> dict[str, Any]:
    """A repair that nothing was tried on, as JSON-ready data."""
    return {
        **envelope(),
        "target": result.target,
        "exact": result.exact,
        "repairs": [
            {
                "code": repair.finding.code,
                "exact": repair.exact,
                "edits": [str(edit) for edit in repair.rewrite.edits],
                "finding": finding_dict(repair.finding),
            }
            for repair in result.applied
        ],
        "remaining": [finding_dict(finding) for finding in result.remaining],
    }


def to_dict(verified: VerifiedRepair, file: str, output: str) -> dict[str, Any]:
    """The same as JSON-ready data."""
    result, proof = verified.result, verified.proof
    return {
        **envelope(),
        "file": file,
        "output": output,
        "target": result.target,
        "exact": result.exact,
        "repairs": [
            {
                "code": repair.finding.code,
                "exact": repair.exact,
                "state": _state(repair, verified),
                "edits": [str(edit) for edit in repair.rewrite.edits],
                "finding": finding_dict(repair.finding),
            }
            for repair in result.applied
        ],
        "remaining": [finding_dict(finding) for finding in result.remaining],
        "eager_error": json_number(verified.eager_error),
        "eager_runs": verified.runs,
        "guarded": proof.guarded if proof is not None else None,
        "outcome": proof.outcome if proof is not None else None,
        "delegated_ops": proof.delegated_ops if proof is not None else None,
        "cpu_ops": list(proof.cpu_ops) if proof is not None else None,
    }
