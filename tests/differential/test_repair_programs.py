"""Repairs of drawn programs, several violations at once: what is computed never changes, and it is lowered right.

``campaign.py --repairs`` judges as many as one likes (docs/lab-notes.md, Repairs); here are a few, by fixed seed.
"""

from __future__ import annotations

import os

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")
pytest.importorskip("tosa_reference_model")

from fuseguard.executorch import repair  # noqa: E402
from fuseguard.target import Target  # noqa: E402
from fuseguard_testkit.repairing import eager_faults  # noqa: E402

from .building import NotAProgram, build  # noqa: E402
from .grammar import program_of  # noqa: E402
from .repair_verdict import judge_repair, summary  # noqa: E402

SHORT = int(os.environ.get("FUSEGUARD_SHORT", "24"))
#: Programs of seed 5 that several rules fix together, on every release; the codes that they have in common.
SEVERAL = {22: {"QD201", "QD204"}, 114: {"QD201", "QD202", "QD203"}, 135: {"QD201", "QD204"}, 178: {"QD202", "QD203"}}


@pytest.mark.parametrize("index", range(SHORT))
def test_a_repair_is_exact_and_needs_no_second(index: int) -> None:
    drawn = program_of(5, index)
    try:
        program, inputs = build(drawn)[:2]
    except NotAProgram as error:  # Arm's quantizer refuses some programs on some releases
        pytest.skip(f"no quantized program: {error}")
    result = repair(program, drawn.profile)
    assert eager_faults(program, result, inputs, drawn.profile) == []


@pytest.mark.parametrize("index", SEVERAL)
def test_several_violations_are_fixed_together_and_lowered_right(index: int) -> None:
    record = judge_repair(program_of(5, index))
    assert record["faults"] == []
    assert record["verdict"] == "repaired", record
    assert set(record["applied"]) >= SEVERAL[index]
    flip = index == 114 and Target.parse(record["profile"]).release_in("<1.4")  # which that release has no TOSA for
    assert record["cpu"] == flip < record["guarded_cpu"], "the repair brings back what the guard refuses"


def test_the_summary_names_what_went_wrong() -> None:
    """Protects the table in docs/lab-notes.md: a fault must not vanish in the counts."""
    good = {
        "index": 1, "verdict": "repaired", "applied": ["QD202", "QD203"], "edit": "", "outcome": "exact", "cpu": 0,
        "guarded_cpu": 2, "faults": [],
    }  # fmt: skip
    bad = good | {"index": 7, "verdict": "lowering-fault", "outcome": "wrong", "cpu": 1, "faults": ["judged wrong"]}
    rows = {line[:44].strip(): line[44:].strip() for line in summary([good, bad]).splitlines()}
    assert (rows["repaired"], rows["faults of a repair"], rows["judged exact"]) == ("2", "1", "1")
    assert (rows["ops on the CPU"], rows["ops on the CPU with the guard alone"]) == ("1", "4")
    assert "7: lowering-fault ['QD202', 'QD203'] ['judged wrong']" in summary([good, bad])
