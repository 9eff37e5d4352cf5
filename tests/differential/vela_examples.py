"""What Vela makes of the rules' examples: where the TOSA is right and Vela refuses it. Run by hand:

    python tests/differential/vela_examples.py --minutes 15
    python tests/differential/vela_examples.py --summary

The records are in ``recorded/vela.jsonl``, and a run goes on where the last one ended. Each has the outcome on
the TOSA and, where it is another, that with Vela and what Vela says.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "differential"

from fuseguard.engine.example_cases import PROFILES, Case
from fuseguard.engine.registry import load_registry
from fuseguard.engine.rule import Example

from . import engine_records

TARGETS = ("ethos-u55-128", "ethos-u85-256")
PATH = engine_records.RECORDS / "vela.jsonl"
#: Of the order in which the examples are judged.
SEED = 20


def examples() -> list[tuple[Case, Example]]:
    """Every example of every rule once: as a quantized program where it has one, else as a graph."""
    found: dict[str, tuple[Case, Example]] = {}
    for rule in load_registry().rules:
        for good, group in ((False, rule.bad), (True, rule.good)):
            for example in group:
                form = "graph" if example.program is None else "program"
                case = Case(rule.code, example.title, good, form, PROFILES[0])
                found.setdefault(example.title, (case, example))  # rules share examples
    return list(found.values())


def key_of(case: Case, accelerator: str) -> str:
    return f"{case.code} {case.title} @ {accelerator}"


def seen(case: Case, example: Example, accelerator: str) -> dict[str, Any]:
    """One record."""
    from fuseguard.executorch.case_judge import make_program
    from fuseguard.executorch.judge import prove
    from fuseguard.target import Target

    target = Target.parse(accelerator)
    program, inputs = make_program(example, Case(case.code, case.title, case.good, case.form, target.spec))
    proof = prove(program, inputs, target, engine="vela")
    npu = proof.npu
    ops = [op for one in npu.delegates for op in one.ops] if npu is not None else []
    record: dict[str, Any] = {"tosa": npu.tosa if npu is not None else proof.outcome}
    if npu is None:
        record["said"] = proof.exception.partition("\n")[0][:160]
    elif npu.faults:
        record |= {"vela": proof.outcome, "said": " ".join(proof.exception.split())[:300]}
    else:
        record["cycles"] = npu.cycles
    left_out = sorted({op.kind for op in ops if op.place == "left out"})
    return record | ({"left_out": left_out} if left_out else {})


def items() -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    drawn = examples()
    random.Random(SEED).shuffle(drawn)
    for case, example in drawn:
        for accelerator in TARGETS:
            yield (
                key_of(case, accelerator),
                lambda case=case, example=example, accelerator=accelerator: seen(case, example, accelerator),
            )


def table(records: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, int, int, str]]:
    """Rows of the table in docs/lab-notes.md: outcome in the reference model, examples for each target, with Vela."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for key, record in records.items():
        if "tosa" in record:
            later = "not compiled" if record["tosa"] == "crash" and "vela" not in record else "the same"
            counts[record["tosa"], record.get("vela", later), key.rpartition(" @ ")[2]] += 1
    pairs = sorted({(tosa, later) for tosa, later, _ in counts})
    return [(tosa, *(counts[tosa, later, target] for target in TARGETS), later) for tosa, later in pairs]  # type: ignore[misc]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--summary", action="store_true", help="print the table of the records and stop")
    options = parser.parse_args(arguments)
    if not options.summary:
        from fuseguard.executorch.hurry import hurry_alone, tidy

        hurry_alone()
        engine_records.run(PATH, items(), options.minutes, tidy)
    records = engine_records.read(PATH)
    for row in table(records):
        print("| " + " | ".join(map(str, row)) + " |")
    for key, record in records.items():
        if "vela" in record or "error" in record or "left_out" in record:
            print(key, record)


if __name__ == "__main__":
    main()
