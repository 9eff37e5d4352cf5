"""What Vulkan makes of the rules' examples, of drawn programs and of the zoo: where a VGF is not its TOSA. Run by hand:

    python tests/differential/vgf_programs.py examples --minutes 15
    python tests/differential/vgf_programs.py first results zoo --minutes 30
    python tests/differential/vgf_programs.py --summary

``first`` are programs of the campaign (seed 5), ``results`` those of its second grammar (seed 771204183), ``zoo`` the
programs that ``make zoo`` has built. The records are in ``recorded/vgf-*.jsonl``, and a run goes on where the
last one ended. Each has the outcome with the engine vgf, the outputs that differ from the reference model and where
that begins, and the outcome in the reference model alone where the program cannot be lowered to VGF.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "differential"

from . import engine_records, sources

SEEDS = {"first": 5, "results": 771204183}
MOST = 300

Items = Iterator[tuple[str, Callable[[], dict[str, Any]]]]


def path_of(source: str) -> Path:
    return engine_records.RECORDS / f"vgf-{source}.jsonl"


def judged(program: Any, inputs: Any, target: Any, **options: Any) -> dict[str, Any]:
    """One record."""
    from fuseguard.executorch.judge import prove

    proof = prove(program, inputs, target, engine="vgf", locate=True, **options)
    record: dict[str, Any] = {"vgf": proof.outcome, "delegates": proof.delegates}
    if proof.exception:
        record["said"] = engine_records.without_folders(" ".join(proof.exception.split()))[:300]
    if proof.outcome == "crash":
        record["tosa"] = prove(program, inputs, target, **options).outcome
    if proof.engine_differences:
        record["differences"] = [str(item) for item in proof.engine_differences]
        record["locations"] = [str(item) for item in proof.engine_locations]
    return record


def of_examples() -> Items:
    from fuseguard.executorch.case_judge import make_program
    from fuseguard.target import Target

    target = Target.parse("vgf")
    for case, example in sources.examples():

        def make(case: Any = case, example: Any = example) -> dict[str, Any]:
            return judged(*make_program(example, replace(case, spec=target.spec)), target)

        yield f"{case.code} {case.title}", make


def of_grammar(name: str) -> Items:
    from .campaign import GRAMMARS

    for index in range(MOST):
        yield f"{SEEDS[name]} {index}", lambda index=index: of_program(GRAMMARS[name](SEEDS[name], index))


def of_program(program: Any) -> dict[str, Any]:
    """The record of a drawn program. A vgf target has both profiles; one that is drawn for INT is lowered for that."""
    from fuseguard.target import Target

    from .building import NotAProgram, build, feeds

    target = replace(Target.parse(program.profile), ir_validity=getattr(program, "ir_validity", True))
    try:
        quantized, calibrated, _ = build(program)
    except NotAProgram as error:
        return {"error": f"{error.stage}: {error}".partition("\n")[0][:160]}
    return judged(quantized, feeds(program, calibrated, quantized)[0], target)


def of_zoo() -> Items:
    for entry in sources.zoo():

        def make(entry: sources.ZooProgram = entry) -> dict[str, Any]:
            return judged(str(entry.path), entry.inputs(), "vgf", dims=entry.dims or None, trust=True)

        yield entry.key, make


SOURCES: dict[str, Callable[[], Items]] = {
    "examples": of_examples,
    "first": lambda: of_grammar("first"),
    "results": lambda: of_grammar("results"),
    "zoo": of_zoo,
}


def summary(source: str) -> Iterator[str]:
    """The counts of a source, and what differs."""
    records = engine_records.read(path_of(source))
    counts = Counter(
        "no program" if "error" in item else f"{item['vgf']}{', not as TOSA' if 'differences' in item else ''}"
        for item in records.values()
    )
    yield f"{source}: {len(records)} records: {', '.join(f'{count} {name}' for name, count in counts.most_common())}"
    for key, record in records.items():
        if "differences" in record or record.get("tosa", record.get("vgf")) != record.get("vgf"):
            yield f"  {key}: {record}"


if __name__ == "__main__":
    engine_records.main(__doc__ or "", SOURCES, path_of, summary)
