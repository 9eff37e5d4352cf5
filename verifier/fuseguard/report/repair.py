"""A repair as text and as JSON-ready data: each rewrite, what it was for, and how far it is proved."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fuseguard.report.json import envelope, finding_dict
from fuseguard.report.lines import Line, clean
from fuseguard.report.numbers import counted, json_number, short

if TYPE_CHECKING:  # all of them import torch
    from fuseguard.executorch.judge import Proof
    from fuseguard.executorch.repairs import RepairResult


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was tried on the repaired program.

    ``eager_error`` is the largest difference between its eager outputs and the original's (0.0: equal to the bit) on
    ``runs`` sets of inputs; ``proof`` is the judge's, None where it was not asked.
    """

    eager_error: float
    runs: int
    proof: Proof | None = None


def render(result: RepairResult, file: str, evidence: Evidence | None) -> Iterator[Line]:
    """The repairs, the proof, and what is left."""
    yield Line((clean(file), "strong"), f": {counted(len(result.applied), 'repair')} for {result.target}")
    for repair in result.applied:
        finding = repair.finding
        where = f" in {clean(finding.graph)}" if finding.graph else ""
        where += f" at {clean(str(finding.source))}" if finding.source else ""
        kind = "" if repair.exact else " (not exact)"
        yield Line((f"  repaired[{finding.code}]", "good"), f" {clean(finding.island)}{where}{kind}", hang=4)
        for edit in repair.rewrite.edits:
            yield Line(f"    {clean(str(edit))}", hang=6)
    if evidence is not None:
        yield from _evidence(evidence)
    for finding in result.remaining:
        if finding.refuse or finding.severity.rank == 2:
            yield Line((f"  remains[{finding.code}]", "error"), f" {clean(finding.message)}", hang=4)
            yield Line(f"    {clean(finding.remedy)}", hang=4)


def _evidence(evidence: Evidence) -> Iterator[Line]:
    runs = "one set of inputs" if evidence.runs == 1 else f"{evidence.runs} sets of inputs"
    equal = "equal to the bit" if evidence.eager_error == 0 else f"differ by at most {short(evidence.eager_error)}"
    yield Line(("  eager", "dim"), f": the repaired program's results and the original's are {equal} on {runs}", hang=4)
    if evidence.proof is None:
        yield Line(("  judge", "dim"), ": not asked", hang=4)
        return
    proof = evidence.proof
    placed = f"{counted(proof.delegated_ops, 'op')} delegated, {_cpu(proof)} on the CPU"
    text = f": {proof.outcome} on {proof.target}; {placed}"
    yield Line(("  judge", "dim"), text + (f"; {clean(proof.exception)}" if proof.exception else ""), hang=4)


def _cpu(proof: Proof) -> int:
    return sum("quantize_per" not in op for op in proof.cpu_ops)


def difference(before: Sequence[str], after: Sequence[str], file: str) -> Iterator[Line]:
    """A unified diff of two programs, one line a node."""
    old, new = ([clean(line) for line in lines] for lines in (before, after))
    for line in difflib.unified_diff(old, new, f"{clean(file)} (original)", f"{clean(file)} (repaired)", lineterm=""):
        yield Line((line, "good" if line.startswith("+") else "error" if line.startswith("-") else ""))


def to_dict(result: RepairResult, file: str, output: str, evidence: Evidence | None) -> dict[str, Any]:
    """The same as JSON-ready data."""
    proof = evidence.proof if evidence is not None else None
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
                "edits": [str(edit) for edit in repair.rewrite.edits],
                "finding": finding_dict(repair.finding),
            }
            for repair in result.applied
        ],
        "remaining": [finding_dict(finding) for finding in result.remaining],
        "eager_error": json_number(evidence.eager_error) if evidence is not None else None,
        "outcome": proof.outcome if proof is not None else None,
        "delegated_ops": proof.delegated_ops if proof is not None else None,
        "cpu_ops": list(proof.cpu_ops) if proof is not None else None,
    }
