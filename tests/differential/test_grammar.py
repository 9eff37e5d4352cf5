"""The grammar draws what it says, the runner survives what programs do, and a short campaign finds no disagreement."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from fuseguard.target import Target

from . import campaign
from .grammar import (
    EDITS,
    Edit,
    Input,
    Program,
    Step,
    draw_program,
    fault,
    producers,
    program_of,
    programs,
    smaller,
    value_shapes,
)
from .op_kinds import KINDS

SHORT = int(os.environ.get("FUSEGUARD_SHORT", "24"))
#: Programs of seed 1 on which verdict and judge are known to disagree, and on which releases for certain; on others
#: they may. All of them are listed in docs/lab-notes.md.
KNOWN: dict[int, tuple[str, str]] = {
    12: (">=1.4,<1.5", "OP701 is announced; a lost annotation (hand-made) makes a runtime fault of it first"),
    13: (">=1.5", "PL406 announces a wrong result for avg_pool2d of floats (hand-made), which crashes"),
}


@settings(max_examples=100, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(program=programs())
def test_every_drawn_program_is_valid_and_has_no_dead_step(program: Program) -> None:
    assert not fault(program)
    used = {arg for step in program.steps for arg in step.args} | set(program.outputs)
    made = len(value_shapes(program)) - len(program.inputs)
    assert all(step.kind in KINDS for step in program.steps)
    assert made >= len(program.steps)
    # Of a step that yields several values one must be used; what is unused beyond that is torch's to drop.
    for number in range(len(program.steps)):
        assert {value for value, producer in producers(program).items() if producer == number} & used


def test_a_program_depends_on_seed_and_index_alone() -> None:
    alone = program_of(3, 17)
    for index in range(17):
        program_of(3, index)
    assert program_of(3, 17) == alone
    assert program_of(3, 18) != alone
    assert program_of(4, 17) != alone


def test_four_hundred_programs_hold_every_demanded_family() -> None:
    drawn = [program_of(1, index) for index in range(400)]
    kinds = Counter(kind for program in drawn for kind in set(program.kinds))
    assert len(kinds) >= 100
    groups = {KINDS[kind].group for kind in kinds}
    # What another grammar adds to the table has no weight in this one.
    assert groups == {kind.group for kind in KINDS.values() if kind.weight}
    assert {program.config for program in drawn} == {"int8-per-channel", "int8-per-tensor", "int8-narrow", "a16w8"}
    assert {program.profile for program in drawn} >= {
        "TOSA-1.0+INT",
        "TOSA-1.0+INT+FP",
        "TOSA-1.0+INT+int16",
        "TOSA-1.0+INT+FP+int16",
    }
    assert any(program.config == "a16w8" and "int16" not in program.profile for program in drawn)
    assert {program.edit.name for program in drawn if program.edit} == set(EDITS)
    assert any(step.layer is not None for program in drawn for step in program.steps)
    assert any(len(program.outputs) > 1 for program in drawn)
    assert any(program.unquantized for program in drawn)
    assert any(len(set(program.steps)) < len(program.steps) for program in drawn)


def test_simplifications_are_valid_and_reach_a_single_step() -> None:
    for index in range(100):
        program = program_of(2, index)
        assert all(not fault(candidate) for candidate in smaller(program))
        last = program.steps[-1].kind
        small, _ = campaign.shrink(
            program, lambda candidate, kind=last: _record("miss" if kind in candidate.kinds else "")
        )
        assert last in small.kinds
        assert len(small.outputs) == 1
        assert small.edit is None


def _record(verdict: str, **fields: Any) -> dict[str, Any]:
    return {
        "index": 0, "seed": 1, "verdict": verdict, "outcome": "exact", "guard": "same", "findings": [],
        "kinds": ["add"], "edit": "", "edited": "", "notes": [], "seconds": 2.0, **fields,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (
            Program((1, 4, 6, 6), (Input(1.0),), (Step("add", (0, 5)),), (1,), "int8-per-tensor", "TOSA-1.0+INT"),
            "exist",
        ),
        (Program((1, 4), (Input(1.0),), (Step("max_pool2d", (0,)),), (1,), "int8-per-tensor", "TOSA-1.0+INT"), "take"),
        (Program((1, 4), (Input(1.0),), (Step("relu", (0,)),), (0,), "int8-per-tensor", "TOSA-1.0+INT"), "output"),
        (Program((1, 4), (Input(1.0),), (Step("relu_", (0,)),), (1,), "int8-per-tensor", "TOSA-1.0+INT"), "in-place"),
    ],
)
def test_an_invalid_program_is_told_from_a_valid_one(broken: Program, why: str) -> None:
    assert why in fault(broken)


def test_a_dead_process_is_a_miss_unless_an_error_was_announced() -> None:
    program = draw_program(Random(5))
    announced = _record("", findings=[{"code": "QP304", "effect": "runtime_fault", "nodes": ["q"], "refuse": True}])
    assert campaign.died(program, announced, "aborted")["verdict"] == "agree-broken"
    assert campaign.died(program, _record(""), "aborted")["verdict"] == "miss"
    assert campaign.died(program, {}, "timed out")["verdict"] == "aborted"


def test_a_cut_off_campaign_is_read_up_to_the_cut(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(json.dumps(_record("miss")) + "\n" + json.dumps(_record("agree-clean"))[:20])
    assert [record["verdict"] for record in campaign.read_records(path)] == ["miss"]


def test_the_summary_counts_what_was_judged() -> None:
    table = campaign.summary([
        _record("miss", outcome="wrong", edit="dq_scale"),
        _record("agree-clean"),
        _record("quantizer-fault", kinds=["sub"]),
    ])  # fmt: skip
    rows = {line[:32].strip(): line[32:].strip() for line in table.splitlines()}
    assert (rows["programs judged"], rows["breakages"], rows["missed"]) == ("2", "1", "1")
    assert rows["not counted: quantizer-fault"] == "1"
    assert "dq_scale 1" in table
    assert "sub" not in table.split("op kinds")[1].split("\n")[1]


@pytest.mark.torch
@pytest.mark.slow
def test_the_runner_resumes_and_a_worker_reports(tmp_path: Path) -> None:
    pytest.importorskip("executorch")
    pytest.importorskip("tosa_reference_model")
    out = tmp_path / "out.jsonl"
    out.write_text(json.dumps(_record("agree-clean", index=0)) + "\n")
    assert campaign.main(["--seed", "1", "--programs", "2", "--out", str(out)]) == 0
    records = campaign.read_records(out)
    assert [record["index"] for record in records] == [0, 1]
    assert records[1]["verdict"] not in ("aborted", "harness-fault")
    assert campaign.main(["--seed", "2", "--out", str(out)]) == 2


@pytest.mark.torch
def test_the_fast_range_search_is_the_slow_one() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("executorch")
    from torchao.quantization.pt2e.observer import HistogramObserver

    from fuseguard.executorch.hurry import patient_search, search_range

    assert patient_search is not search_range
    for seed in range(8):
        torch.manual_seed(seed)
        observer = HistogramObserver(dtype=torch.int8, quant_min=-128, quant_max=127)
        values = torch.randn(1, 4, 6, 6) * 10 ** (seed % 4 - 2)
        observer(values.abs() if seed % 2 else values)
        assert search_range(observer) == patient_search(observer)


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize("edit", sorted(EDITS))
def test_every_edit_finds_its_place(edit: str) -> None:
    pytest.importorskip("executorch")
    from .building import build

    steps = (Step("conv2d", (0,), (4.0, 1.0, 1.0, 1.0)), Step("add", (1, 2)), Step("sigmoid", (2,)))
    config, profile = ("a16w8", "TOSA-1.0+INT+int16") if edit == "int16_zero_point" else (
        "int8-per-channel", "TOSA-1.0+INT",
    )  # fmt: skip
    change = Edit(edit, 1, EDITS[edit][-1])
    program = Program((1, 4, 6, 6), (Input(3.0), Input(9.0)), steps, (3, 4), config, profile, change)
    assert build(program)[2].startswith(edit)


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize("index", range(SHORT))
def test_verdict_and_judge_agree_on_a_short_campaign(index: int) -> None:
    pytest.importorskip("executorch")
    pytest.importorskip("tosa_reference_model")
    from .verdict import judge_program

    record = judge_program(program_of(1, index), sampled=True)
    faults = campaign.disagreements(record)
    releases, reason = KNOWN.get(index, ("", ""))
    if reason and Target.parse("TOSA-1.0+INT").release_in(releases):
        assert faults, f"{reason}: this holds no longer, remove it from KNOWN and from docs/lab-notes.md"
    if reason and faults:
        pytest.xfail(reason)
    assert not faults, (faults, record)
