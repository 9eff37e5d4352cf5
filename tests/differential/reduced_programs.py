"""Reduces failing programs of the campaign's grammars. One JSON line for each program that was drawn.

    .venvs/1.5.1/bin/python tests/differential/reduced_programs.py --out reduced.jsonl
    .venvs/1.5.1/bin/python tests/differential/reduced_programs.py --out reduced.jsonl --announced wrong --programs 7
    .venvs/1.5.1/bin/python tests/differential/reduced_programs.py --out reduced.jsonl --summary

Programs of the first and the second grammar are drawn in turn, as Arm's quantizer leaves them in its default
configuration, until enough of them fail. What was drawn already is not reduced again, so that a run may be interrupted.
``--again`` reduces those again that have stayed too large. Most failing programs of the second grammar crash:
``--announced wrong`` leaves out programs of which the rules announce nothing wrong or a crash, without lowering them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "differential"

from .campaign import GRAMMARS, read_records
from .grammar import Program

#: The seed is that of the campaigns in the lab notes.
SEED, PROGRAMS, MOST_OPS = 5, 20, 6
#: What draws the programs, and how they are quantized.
DRAWN, CONFIG = ("first", "results"), "int8-per-channel"
#: Seconds for one program.
BUDGET = 180.0


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON lines, appended to")
    parser.add_argument("--programs", type=int, default=PROGRAMS, help="how many failing ones (default %(default)s)")
    parser.add_argument("--announced", default="", metavar="EFFECT", help="only those with this effect by the rules")
    parser.add_argument("--again", action="store_true", help="reduce those again that have stayed too large")
    parser.add_argument("--summary", action="store_true", help="print the counts of --out and stop")
    options = parser.parse_args(argv)
    if not options.summary:
        campaign(options.out, options.programs, again=options.again, announced=options.announced)
    print(summary(records(options.out)))
    return int(bool(large(records(options.out))))


def campaign(out: Path, count: int, *, again: bool = False, announced: str = "") -> None:
    """Draws and reduces programs until ``count`` of them have failed; with ``announced``, with this outcome."""
    from fuseguard.executorch.hurry import hurry_alone, tidy

    hurry_alone()
    known = {record["name"]: record for record in records(out)}
    if again:
        known = {name: record for name, record in known.items() if record not in large([record])}
    failing = 0
    for name, program in drawn():
        if failing == count:
            return
        if name not in known:
            if announced and not _announced(program, announced):
                continue
            known[name] = {"name": name, **reduced(program)}
            with out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(known[name]) + "\n")
            tidy()
        failing += known[name]["outcome"] == announced if announced else bool(known[name]["outcome"])


def drawn() -> Iterator[tuple[str, Program]]:
    """Programs of the grammars, in turn, that are quantized by default and not edited."""
    for index in itertools.count():
        for grammar in DRAWN:
            program = GRAMMARS[grammar](SEED, index)
            if program.edit is None and program.config == CONFIG:
                yield f"{grammar} {index}", program


def _announced(program: Program, effect: str) -> bool:
    """Whether the rules announce an effect, and no crash unless that is it."""
    from fuseguard.engine.registry import load_registry
    from fuseguard.engine.run import run
    from fuseguard.readers.fx import read_program
    from fuseguard.target import Target

    from .building import NotAProgram, build

    try:
        quantized, _, _ = build(program)
    except NotAProgram:
        return False
    findings = run(read_program(quantized), Target.parse(program.profile), load_registry().rules).findings
    effects = {finding.effect.value for finding in findings}
    return effect in effects and ("crash" not in effects or effect == "crash")


def reduced(program: Program) -> dict[str, Any]:
    """``outcome``: "" for what is not a program, or does not fail."""
    from executorch.exir import EdgeCompileConfig

    from fuseguard.executorch.reducing.reduction import NothingToReduce, reduce

    from .building import NotAProgram, build, feeds
    from .result_grammar import ResultProgram

    nothing: dict[str, Any] = {"outcome": ""}
    try:
        quantized, calibrated, _ = build(program)
    except NotAProgram:
        return nothing
    unchecked = isinstance(program, ResultProgram) and not program.ir_validity
    config = EdgeCompileConfig(_check_ir_validity=False) if unchecked else None
    inputs = feeds(program, calibrated, quantized)[0]
    try:
        found = reduce(quantized, inputs, program.profile, compile_config=config, budget=BUDGET)
    except NothingToReduce:
        return nothing
    return {
        "outcome": found.proof.outcome,
        "ops_before": found.ops_before,
        "ops": list(found.ops),
        "tried": found.tried,
        "seconds": round(found.seconds, 1),
        "stopped": found.stopped,
    }


def records(out: Path) -> list[dict[str, Any]]:
    """The last record of each program."""
    return list({record["name"]: record for record in read_records(out)}.values()) if out.exists() else []


def large(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [record for record in found if record["outcome"] and len(record["ops"]) > MOST_OPS]


def summary(found: Sequence[dict[str, Any]]) -> str:
    failing = [record for record in found if record["outcome"]]
    lines = [
        f"{record['name']}: {record['outcome']}, {record['ops_before']} -> {len(record['ops'])} ops "
        f"({', '.join(record['ops'])}), {record['tried']} candidates, {record['seconds']} s {record['stopped']}"
        for record in failing
    ]
    if failing:
        sizes = sorted(Counter(len(record["ops"]) for record in failing).items())
        outcomes = Counter(record["outcome"] for record in failing)
        seconds = median(record["seconds"] for record in failing)
        lines.append(f"{len(failing)} of {len(found)} fail; ops: {sizes}, {dict(outcomes)}, median {seconds:.0f} s")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
