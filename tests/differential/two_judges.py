"""Holds the two judges against each other: cell by cell, and end to end. One JSON line for each example of a rule.

    python tests/differential/two_judges.py --out judges.jsonl
    python tests/differential/two_judges.py --out timed.jsonl --timed --every 14
    python tests/differential/two_judges.py --out judges.jsonl --summary

Examples whose recorded outcome on the installed release is a crash or the like have no cells, and are left out. What
was judged already is not judged again, so that a run may be interrupted. Bounded examples come first, where the judges
may disagree most. ``--timed`` proves each example without cells as well, and compares the processor time of this
process (the reference model runs in another one, once for each proof).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from fuseguard.engine.example_cases import Case, cases, example_of
from fuseguard.engine.registry import load_registry
from fuseguard.measured import SHIPPED
from fuseguard.target import Target

#: Outcomes of programs that ran.
_RAN = ("bounded", "wrong", "exact")
#: Programs between two collections of garbage.
_TIDY = 16


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON lines, appended to")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="each Nth example only")
    parser.add_argument("--timed", action="store_true", help="prove each example without cells first, and compare")
    parser.add_argument("--summary", action="store_true", help="print the counts of --out and stop")
    options = parser.parse_args(argv)
    if not options.summary:
        _run(options.out, options.every, options.timed)
    print(summary(_records(options.out)))
    return 0


def ran() -> list[Case]:
    """The cases that lower and run on the installed release, by its recording; those that may disagree most first."""
    recorded = SHIPPED.recording(SHIPPED.of(Target.parse("TOSA-1.0+INT").release))
    seen = {(item.rule, item.example, item.form, item.spec): item.seen for item in recorded.cases}
    found = [
        (_RAN.index(outcome), number, case)
        for number, case in enumerate(cases(load_registry().rules))
        if (outcome := seen.get((case.code, case.title, case.form, case.spec))) in _RAN
    ]
    return [case for _, _, case in sorted(found, key=lambda item: item[:2])]


def judged(case: Case, timed: bool) -> dict[str, Any]:
    """Both verdicts on one case; if ``timed``, the seconds of processor time of a proof without and with cells."""
    from fuseguard.executorch.case_judge import make_program
    from fuseguard.executorch.judge import prove

    _, example = example_of(case, load_registry())
    program, inputs = make_program(example, case)
    start = time.process_time()
    if timed:
        prove(program, inputs, case.spec)
    middle = time.process_time()
    both = prove(program, inputs, case.spec, locate=True)
    return {
        "case": str(case),
        "outcome": both.outcome,
        "end_to_end": both.end_to_end,
        "statuses": Counter(cell.status for cell in both.cells),
        "doubtful": [cell.value for cell in both.wrong_cells if not cell.certain],
        "seconds": [middle - start, time.process_time() - middle] if timed else [],
    }


def summary(records: Sequence[dict[str, Any]]) -> str:
    """The counts as a table, then each case on which the judges disagree or a cell is in doubt."""
    counts = Counter((record["end_to_end"], record["outcome"]) for record in records)
    lines = [f"{number:5} end to end {end}, cells {outcome}" for (end, outcome), number in sorted(counts.items())]
    ratios = sorted(with_cells / alone for alone, with_cells in filter(None, (item["seconds"] for item in records)))
    if ratios:
        lines.append(f"processor time with cells / without, median of {len(ratios)}: {median(ratios):.2f}")
    differ = (item for item in records if item["end_to_end"] != item["outcome"] or item["doubtful"])
    lines.extend(map(json.dumps, differ))
    return "\n".join(lines)


def _run(out: Path, every: int, timed: bool) -> None:
    from fuseguard.executorch.hurry import hurry_alone, tidy

    hurry_alone()
    known = {record["case"] for record in _records(out)}
    for number, case in enumerate(ran()[::every]):
        if str(case) in known:
            continue
        if number % _TIDY == 0:
            tidy()
        with out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(judged(case, timed)) + "\n")


def _records(path: Path) -> list[dict[str, Any]]:
    return list(_lines(path)) if path.exists() else []


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:  # the last line of a run that was interrupted
            continue


if __name__ == "__main__":
    sys.exit(main())
