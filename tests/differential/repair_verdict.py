"""One program: the result of its repair, as one record. ``campaign.py --repairs`` judges many.

``verdict`` of a record:

- ``repaired``: fixed without changing a result, lowered right, and nothing is lost that the guard keeps delegated;
- ``repair-fault``: the repair changes results or signature, or a second one finds more to do;
- ``lowering-fault``: the repaired program is lowered wrong, or less of it than with the guard;
- ``not-repairs``: lowered wrong, and so is the guarded original: what no rule announces;
- ``nothing``: no finding that an exact repair is known for;
- ``eager-fault``, ``quantizer-fault``, ``edit-fault``: torch or Arm's quantizer fails before there is a program.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from fuseguard.executorch import RepairResult, prove, repair
from fuseguard_testkit.repairing import computing, eager_faults, lowered, lowering_faults

from .building import NotAProgram, build, feeds
from .grammar import Program

#: Verdicts that say something is wrong with a repair.
FAULTS = ("repair-fault", "lowering-fault")
_NO_PROGRAM = ("eager-fault", "quantizer-fault", "edit-fault")
#: Verdicts that the summary only counts.
_QUIET = ("repaired", "nothing", *_NO_PROGRAM)


def judge_repair(
    program: Program, sampled: bool = False, announce: Callable[[dict[str, Any]], None] | None = None
) -> dict[str, Any]:
    """The record of one program. ``announce`` gets the repair before anything is lowered."""
    del sampled
    began = time.perf_counter()
    record: dict[str, Any] = {
        "verdict": "", "outcome": "", "kinds": list(program.kinds), "config": program.config,
        "profile": program.profile, "edit": program.edit.name if program.edit else "", "applied": [], "remaining": [],
        "findings": [], "faults": [], "notes": [], "guard": "",
    }  # fmt: skip
    try:
        quantized, calibrated, _ = build(program)
    except NotAProgram as error:
        record |= {"verdict": f"{error.stage}-fault", "faults": [str(error)[:400]]}
    else:
        result = repair(quantized, program.profile)
        record["applied"] = [item.finding.code for item in result.applied]
        record["remaining"] = sorted(finding.code for finding in result.remaining if finding.refuse)
        if announce is not None:
            announce(record)
        _judge(record, program, quantized, result, feeds(program, calibrated, quantized))
    return {**record, "seconds": round(time.perf_counter() - began, 2)}


def _judge(record: dict[str, Any], program: Program, quantized: Any, result: RepairResult, inputs: list[Any]) -> None:
    if not result.applied:
        record["verdict"] = "nothing"
        return
    profile = program.profile
    record["faults"] = [fault for values in inputs for fault in eager_faults(quantized, result, values, profile)]
    if record["faults"]:
        record["verdict"] = "repair-fault"
        return
    proof = lowered(result, inputs[0], profile)
    record |= {"outcome": proof.outcome, "delegated": proof.delegated_ops, "steps": proof.max_error_steps}
    record["cpu"] = sum(computing(proof.cpu_ops).values())
    guarded = prove(quantized, inputs[0], profile, checks="guard")
    record["faults"] = lowering_faults(result, proof, lambda: guarded)
    record["guarded"] = guarded.outcome
    record["guarded_cpu"] = sum(computing(guarded.cpu_ops).values())
    if not record["faults"]:
        record["verdict"] = "repaired"
    else:
        # What the guard's lowering has as well is no fault of the repair's; it is announced by nobody.
        record["verdict"] = "lowering-fault" if guarded.ok else "not-repairs"


def summary(records: Sequence[dict[str, Any]]) -> str:
    """The result table."""
    verdicts = Counter(record["verdict"] for record in records)
    lowered_ones = [record for record in records if record["outcome"] and record["applied"]]
    outcomes = Counter(record["outcome"] for record in lowered_ones)
    proved = [record for record in lowered_ones if "guarded_cpu" in record]
    rows = [
        ("programs drawn", len(records)),
        ("nothing to repair", verdicts["nothing"]),
        ("no program", sum(verdicts[name] for name in _NO_PROGRAM)),
        ("repaired", sum(bool(record["applied"]) for record in records)),
        ("of these with two repairs or more", sum(len(record["applied"]) > 1 for record in records)),
        ("of these by two rules or more", sum(len(set(record["applied"])) > 1 for record in records)),
        ("hand-edited", sum(bool(record["applied"] and record["edit"]) for record in records)),
        ("results equal to the bit", len(lowered_ones)),
        *((f"judged {name}", outcomes[name]) for name in ("exact", "bounded")),
        ("judged otherwise, the guarded original too", verdicts["not-repairs"]),
        ("faults of a repair", sum(verdicts[name] for name in FAULTS)),
        ("the process died", verdicts["aborted"] + verdicts["miss"] + verdicts["harness-fault"]),
        ("wholly delegated", sum(record["cpu"] == 0 for record in proved)),
        ("wholly delegated with the guard alone", sum(record["guarded_cpu"] == 0 for record in proved)),
        ("ops on the CPU", sum(record["cpu"] for record in proved)),
        ("ops on the CPU with the guard alone", sum(record["guarded_cpu"] for record in proved)),
    ]
    lines = [f"{name:44}{value:>8}" for name, value in rows]
    codes = Counter(code for record in records for code in record["applied"])
    lines.append("\nrepairs: " + ", ".join(f"{code} {count}" for code, count in sorted(codes.items())))
    lines += [
        f"{record['index']}: {record['verdict']} {record['applied']} {record.get('faults')}"
        for record in records
        if record["verdict"] not in _QUIET
    ]
    return "\n".join(lines)
