"""What Vela makes of the rules' examples and of the zoo: where the TOSA is right and Vela refuses it. Run by hand:

    python tests/differential/vela_programs.py examples --minutes 15
    python tests/differential/vela_programs.py zoo --minutes 30
    python tests/differential/vela_programs.py --summary

``zoo`` are the programs that ``make zoo`` has built. The records are in ``recorded/vela-*.jsonl``, and a run goes on
where the last one ended. Each has the outcome on the TOSA and, where it is another, that with Vela and what Vela says;
else the cycles by Vela's estimate and the kinds of op that run on the CPU.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "differential"

from fuseguard.engine.example_cases import Case

from . import engine_records, sources

TARGETS = ("ethos-u55-128", "ethos-u85-256")

Items = Iterator[tuple[str, Callable[[], dict[str, Any]]]]


def path_of(source: str) -> Path:
    return engine_records.RECORDS / f"vela-{source}.jsonl"


def key_of(name: str, accelerator: str) -> str:
    return f"{name} @ {accelerator}"


def judged(program: Any, inputs: Any, accelerator: str, **options: Any) -> dict[str, Any]:
    """One record."""
    from fuseguard.executorch.judge import prove

    proof = prove(program, inputs, accelerator, engine="vela", **options)
    npu = proof.npu
    ops = [op for one in npu.delegates for op in one.ops] if npu is not None else []
    record: dict[str, Any] = {"tosa": npu.tosa if npu is not None else proof.outcome}
    if npu is None:
        record["said"] = engine_records.without_folders(proof.exception.partition("\n")[0])[:160]
    elif npu.faults:
        said = engine_records.without_folders(" ".join(proof.exception.split()))
        record |= {"vela": proof.outcome, "said": said[:300]}
    else:
        record["cycles"] = npu.cycles
    left_out = sorted({op.kind for op in ops if op.place == "left out"})
    return record | ({"left_out": left_out} if left_out else {})


def of_examples() -> Items:
    from fuseguard.executorch.case_judge import make_program
    from fuseguard.target import Target

    for case, example in sources.examples():
        for accelerator in TARGETS:

            def make(case: Case = case, example: Any = example, accelerator: str = accelerator) -> dict[str, Any]:
                spec = Target.parse(accelerator).spec
                program, inputs = make_program(example, Case(case.code, case.title, case.good, case.form, spec))
                return judged(program, inputs, accelerator)

            yield key_of(f"{case.code} {case.title}", accelerator), make


def of_zoo() -> Items:
    for entry in sources.zoo():
        for accelerator in TARGETS:

            def make(entry: sources.ZooProgram = entry, accelerator: str = accelerator) -> dict[str, Any]:
                options = {"dims": entry.dims or None, "trust": True}
                return judged(str(entry.path), entry.inputs(), accelerator, **options)

            yield key_of(entry.key, accelerator), make


SOURCES: dict[str, Callable[[], Items]] = {"examples": of_examples, "zoo": of_zoo}


def table(records: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, int, int, str]]:
    """Rows of a table in docs/lab-notes.md: outcome in the reference model, programs for each target, with Vela."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for key, record in records.items():
        if "tosa" in record:
            later = "not compiled" if record["tosa"] == "crash" and "vela" not in record else "the same"
            counts[record["tosa"], record.get("vela", later), key.rpartition(" @ ")[2]] += 1
    pairs = sorted({(tosa, later) for tosa, later, _ in counts})
    return [(tosa, *(counts[tosa, later, target] for target in TARGETS), later) for tosa, later in pairs]  # type: ignore[misc]


def summary(source: str) -> Iterator[str]:
    """The table of a source, and what Vela refuses or leaves out."""
    records = engine_records.read(path_of(source))
    yield f"{source}: {len(records)} records"
    for row in table(records):
        yield "| " + " | ".join(map(str, row)) + " |"
    for key, record in records.items():
        if "vela" in record or "error" in record or "left_out" in record:
            yield f"  {key} {record}"


if __name__ == "__main__":
    engine_records.main(__doc__ or "", SOURCES, path_of, summary)
