"""What Vela makes of the rules' examples: where the TOSA is right and Vela refuses it. Run by hand:

    python tests/differential/vela_examples.py --seed 20 --cpu-minutes 15 > seen.jsonl

It draws examples in an order that the seed fixes and stops when the processor time is spent. Each line has the outcome
on the TOSA, that with Vela, and what Vela says.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
from collections.abc import Sequence

from fuseguard.engine.example_cases import PROFILES, Case
from fuseguard.engine.registry import load_registry
from fuseguard.engine.rule import Example
from fuseguard.executorch.case_judge import make_program
from fuseguard.executorch.hurry import hurry_alone, tidy
from fuseguard.executorch.judge import prove
from fuseguard.target import Target

TARGETS = ("ethos-u55-128", "ethos-u85-256")


def examples() -> list[tuple[Case, Example]]:
    """Every example of every rule once: as a quantized program where it has one, else as a graph."""
    found = []
    for rule in load_registry().rules:
        for good, group in ((False, rule.bad), (True, rule.good)):
            for example in group:
                form = "graph" if example.program is None else "program"
                found.append((Case(rule.code, example.title, good, form, PROFILES[0]), example))
    return found


def seen(case: Case, example: Example, accelerator: str) -> dict[str, object]:
    """One line of the result."""
    target = Target.parse(accelerator)
    program, inputs = make_program(example, Case(case.code, case.title, case.good, case.form, target.spec))
    proof = prove(program, inputs, target, engine="vela")
    npu = proof.npu
    ops = [op for one in npu.delegates for op in one.ops] if npu is not None else []
    return {
        "code": case.code,
        "title": case.title,
        "good": case.good,
        "form": case.form,
        "config": example.config,
        "target": accelerator,
        "tosa": npu.tosa if npu is not None else proof.outcome,
        "vela": proof.outcome,
        "said": proof.exception if npu is None or npu.faults else "",
        "cycles": npu.cycles if npu is not None else None,
        "left_out": sorted({op.kind for op in ops if op.place == "left out"}),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cpu-minutes", type=float, default=15.0)
    options = parser.parse_args(arguments)
    hurry_alone()
    drawn = examples()
    random.Random(options.seed).shuffle(drawn)
    for number, (case, example) in enumerate(drawn):
        for accelerator in TARGETS:
            try:
                line = seen(case, example, accelerator)
            except Exception as error:  # of quantizing: what the installed quantizer does not take
                line = {"code": case.code, "title": case.title, "target": accelerator, "error": f"{error!r:.200}"}
            print(json.dumps(line), flush=True)
        tidy()
        used = sum(resource.getrusage(who).ru_utime for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        if used > options.cpu_minutes * 60:
            print(json.dumps({"drawn": number + 1, "of": len(drawn), "cpu_seconds": round(used)}))
            return


if __name__ == "__main__":
    main()
