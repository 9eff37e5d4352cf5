"""Holds the two judges against each other: cell by cell, and end to end. One JSON line for each program.

    python tests/differential/two_judges.py --out judges.jsonl
    python tests/differential/two_judges.py --out programs.jsonl --programs 1000 --grammar first
    python tests/differential/two_judges.py --out timed.jsonl --timed --every 14
    python tests/differential/two_judges.py --out judges.jsonl --summary

``recorded/judges/<release>.jsonl.gz`` holds what was judged so far, and is continued with ``--out``.

The programs are the examples of all rules, or with ``--programs`` those of the campaign with seed 5 (campaign.py).
Examples whose recorded outcome on the installed release is a crash or the like have no cells, and are left out. What
was judged already is not judged again, so that a run may be interrupted. Bounded examples come first, where the judges
may disagree most. ``--again`` judges those again on which the judges disagree, or on which a cell is in doubt.

``--timed`` lowers each example once, and compares the processor time of what follows with and without cells, in this
process and in that of the reference model: the least of three runs.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "differential"

from fuseguard.engine.example_cases import Case, cases, example_of
from fuseguard.engine.registry import load_registry
from fuseguard.measured import SHIPPED
from fuseguard.target import Target

from .records import read_records, write_records

#: Outcomes of programs that ran.
_RAN = ("bounded", "wrong", "exact")
#: Programs between two collections of garbage.
_TIDY = 16
#: Programs after which the records are written.
_KEPT = 10
#: The campaign's seed.
_SEED = 5


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON lines, packed if the name ends in .gz")
    parser.add_argument("--spec", help="examples under this specification only, such as TOSA-1.0+INT")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="each Nth example only")
    parser.add_argument("--timed", action="store_true", help="compare the processor time of both judges")
    parser.add_argument("--programs", type=int, metavar="N", help="the first N of the campaign, not the examples")
    parser.add_argument("--grammar", default="first", help="what draws the programs: first, results or shapes")
    parser.add_argument("--again", action="store_true", help="judge disagreements and doubts again")
    parser.add_argument("--summary", action="store_true", help="print the counts of --out and stop")
    options = parser.parse_args(argv)
    if not options.summary:
        _run(options)
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


def judged(case: Case, timed: bool = False) -> dict[str, Any]:
    """Both verdicts on one example; if ``timed``, the seconds of processor time without and with cells."""
    from fuseguard.executorch.case_judge import make_program

    _, example = example_of(case, load_registry())
    program, inputs = make_program(example, case)
    record = _both(str(case), program, inputs, target=case.spec)
    return record | {"seconds": _seconds(program, inputs, case.spec) if timed else []}


def judged_program(grammar: str, index: int) -> dict[str, Any]:
    """Both verdicts on a program of the campaign, on the first of its inputs."""
    from executorch.exir import EdgeCompileConfig

    from .building import NotAProgram, build, feeds
    from .campaign import GRAMMARS
    from .result_grammar import ResultProgram

    name = f"{grammar} {index}"
    program = GRAMMARS[grammar](_SEED, index)
    try:
        quantized, calibrated, _ = build(program)
    except NotAProgram:
        return {"case": name, "outcome": "no program", "end_to_end": "no program", "doubtful": [], "seconds": []}
    unchecked = isinstance(program, ResultProgram) and not program.ir_validity
    config = EdgeCompileConfig(_check_ir_validity=False) if unchecked else None
    inputs = feeds(program, calibrated, quantized)[0]
    return _both(name, quantized, inputs, target=program.profile, compile_config=config)


def _both(name: str, program: Any, inputs: Any, **settings: Any) -> dict[str, Any]:
    from fuseguard.executorch.judge import prove

    both = prove(program, inputs, locate=True, **settings)
    return {
        "case": name,
        "outcome": both.outcome,
        "end_to_end": both.end_to_end or both.outcome,
        "statuses": Counter(cell.status for cell in both.cells),
        "wrong": [cell.value for cell in both.wrong_cells],
        "doubtful": [cell.value for cell in both.wrong_cells if not cell.certain],
        "seconds": [],
    }


def _seconds(program: Any, inputs: Any, spec: str) -> list[float]:
    from fuseguard.executorch import judge

    lower = judge.lower_to_edge
    lowered = lower(program, judge.compile_spec_for(Target.parse(spec)))
    judge.lower_to_edge = lambda *_: lowered
    try:
        return [min(_one(judge.prove, program, inputs, spec, cells) for _ in range(3)) for cells in (False, True)]
    finally:
        judge.lower_to_edge = lower


def _one(prove: Callable[..., Any], program: Any, inputs: Any, spec: str, cells: bool) -> float:
    began = 0.0

    def progress(text: str) -> None:
        nonlocal began
        if text == "running the delegates":
            began = _processor_time()

    prove(program, inputs, spec, locate=cells, progress=progress)
    return _processor_time() - began


def _processor_time() -> float:
    """Seconds of this process and of the reference model's."""
    from fuseguard.executorch.reference_model import _WORKER

    child = _WORKER._child._process
    if child is None:
        return time.process_time()
    clock = (~child.pid << 3) | 2  # Linux's number for the clock of another process, clock_getcpuclockid(3)
    return time.process_time() + time.clock_gettime(clock)


def summary(records: Sequence[dict[str, Any]]) -> str:
    """The counts as a table, then each program on which the judges disagree or a cell is in doubt."""
    counts = Counter((record["end_to_end"], record["outcome"]) for record in records)
    lines = [f"{number:5} end to end {end}, cells {outcome}" for (end, outcome), number in sorted(counts.items())]
    timed = [item["seconds"] for item in records if item["seconds"]]
    if timed:
        ratios = [with_cells / alone for alone, with_cells in timed]
        alone, with_cells = (sum(column) for column in zip(*timed, strict=True))
        lines.append(
            f"processor time after lowering, with cells / without, of {len(timed)}: median {median(ratios):.2f}, "
            f"in all {alone:.1f} s / {with_cells:.1f} s"
        )
    lines.extend(map(json.dumps, filter(_worth_a_look, records)))
    return "\n".join(lines)


def _worth_a_look(record: dict[str, Any]) -> bool:
    """Whether the judges disagree on it, or a cell is in doubt."""
    return bool(record["end_to_end"] != record["outcome"] or record["doubtful"])


def _run(options: argparse.Namespace) -> None:
    from fuseguard.executorch.hurry import hurry_alone, tidy

    hurry_alone()
    records = {record["case"]: record for record in _records(options.out)}
    known = {name for name, record in records.items() if not (options.again and _worth_a_look(record))}
    fresh = 0
    for number, (name, judge) in enumerate(_programs(options)):
        if name in known:
            continue
        if number % _TIDY == 0:
            tidy()
        records[name] = judge()
        fresh += 1
        if fresh % _KEPT == 0:
            write_records(options.out, list(records.values()))
    write_records(options.out, list(records.values()))


def _programs(options: argparse.Namespace) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Names, and what judges them."""
    if options.programs is None:
        found = [case for case in ran() if options.spec in (None, case.spec)]
        for case in found[:: options.every]:
            yield str(case), lambda case=case: judged(case, options.timed)
    for index in range(0, options.programs or 0, options.every):
        yield f"{options.grammar} {index}", lambda index=index: judged_program(options.grammar, index)


def _records(path: Path) -> list[dict[str, Any]]:
    """The last record of each program."""
    return list({record["case"]: record for record in read_records(path)}.values()) if path.exists() else []


if __name__ == "__main__":
    sys.exit(main())
