"""A selftest as text and as JSON-ready data: the effects tables beside what was seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fuseguard.engine.shown import counted
from fuseguard.report.json import envelope
from fuseguard.report.lines import Line, table

if TYPE_CHECKING:  # imports torch
    from fuseguard.engine.example_cases import Result

_HEADER = ("rule", "example", "form", "target", "table", "evidence", "seen", "guarded", "repaired", "")


def render(results: Sequence[Result], release: str) -> Iterator[Line]:
    """One row per case, then every disagreement in full, then the sum."""
    yield from table([_row(result) for result in results], _HEADER)
    faults = [result for result in results if not result.agrees]
    for result in faults:
        yield Line()
        yield Line(("disagrees", "error"), f": {result.case}: {result.fault}", hang=2)
        if result.detail:
            yield Line(f"  {result.detail}", hang=4)
    yield Line()
    verdict = f"{len(faults)} disagree" if faults else "all agree with the effects tables"
    yield Line((f"{counted(len(results), 'case')} on ExecuTorch {release}: ", "strong"), verdict)


def _row(result: Result) -> tuple[str, ...]:
    case = result.case
    return (
        case.code,
        case.title,
        case.form,
        case.spec,
        result.expected,
        result.evidence or "-",
        result.outcome,
        result.guarded or "-",
        result.repaired or "-",
        "" if result.agrees else "DISAGREES",
    )


def to_dict(results: Sequence[Result], release: str) -> dict[str, Any]:
    """The same as JSON-ready data."""
    return {
        **envelope(),
        "executorch": release,
        "cases": [
            {
                "code": result.case.code,
                "example": result.case.title,
                "good": result.case.good,
                "form": result.case.form,
                "target": result.case.spec,
                "expected": result.expected,
                "evidence": result.evidence,
                "announced": list(result.announced),
                "seen": result.outcome,
                "guarded": result.guarded,
                "repaired": result.repaired,
                "eager_equal": result.equal,
                "found": [{"code": code, "case": case} for code, case in result.found],
                "cpu_operators": result.cpu,
                "detail": result.detail,
                "agrees": result.agrees,
                "fault": result.fault,
            }
            for result in results
        ],
        "disagreements": sum(not result.agrees for result in results),
    }
