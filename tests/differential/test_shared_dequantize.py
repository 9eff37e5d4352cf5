"""Programs whose dequantize ops are shared, as what eliminates common subexpressions leaves them: verdict and judge.

Arm's quantizer gives each reader one of its own, so the campaign's programs hardly have any. These are programs of its
grammar, mostly without float support, in which all readers of a value read its first dequantize op. They are 1.5.1's:

    FUSEGUARD_SHARED=150 .venvs/1.5.1/bin/python -m pytest tests/differential/test_shared_dequantize.py
"""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")
pytest.importorskip("tosa_reference_model")

from fuseguard.backend.delegates import delegate_numbers  # noqa: E402
from fuseguard.backend.detag_boundary_nodes import detagged  # noqa: E402
from fuseguard.backend.partition import stays_outside  # noqa: E402
from fuseguard.engine import Effect  # noqa: E402
from fuseguard.ir import Graph, View  # noqa: E402
from fuseguard.readers.fx import read_program  # noqa: E402
from fuseguard.target import Target  # noqa: E402
from fuseguard_testkit.partitioning import partitioned  # noqa: E402

from .building import NotAProgram, build  # noqa: E402
from .campaign import disagreements  # noqa: E402
from .grammar import Edit, Program, program_of  # noqa: E402
from .verdict import lint  # noqa: E402

SEED = 7
SHORT = int(os.environ.get("FUSEGUARD_SHARED", "6"))
#: Programs on which they are known to disagree. docs/lab-notes.md says why.
KNOWN = frozenset({103})


def shared(index: int) -> Program:
    program = program_of(SEED, index)
    profile = program.profile.replace("+FP", "") if index % 3 else program.profile
    return replace(program, profile=profile, edit=Edit("share_dqs", 0, 1.0))


@pytest.mark.parametrize("index", range(SHORT))
def test_verdict_and_judge_agree_where_dequantize_ops_are_shared(index: int) -> None:
    from .verdict import judge_program

    if not Target.parse("TOSA-1.0+INT").release_in(">=1.5"):
        pytest.skip("which programs they disagree on was found with 1.5.1")
    record = judge_program(shared(index), sampled=True)
    faults = disagreements(record)
    if index in KNOWN:
        assert faults, "this holds no longer: remove it from KNOWN and from docs/lab-notes.md"
        pytest.xfail("a known disagreement, see docs/lab-notes.md")
    assert not faults, (faults, record)


def partition_of(program: Program, target: Target) -> tuple[Graph, dict[str, str]]:
    """The edge program that the partitioner is given, and the tag of each of its nodes that is in a partition."""
    try:
        quantized, _, _ = build(program)
    except NotAProgram as error:  # Arm's quantizer refuses some programs on some releases
        pytest.skip(f"no quantized program: {error}")
    try:
        return partitioned(quantized, target.spec)
    except Exception as error:  # a partitioner may fail with anything
        found = lint(read_program(quantized), target).findings
        if Effect.CRASH not in {finding.effect for finding in found}:
            raise
        pytest.skip(f"the partitioner of this release fails, as announced: {error}")


@pytest.mark.parametrize("index", [0, 7, 17, 40, 41, 53, 81, 88, 121, 127])
def test_the_model_knows_which_dequantize_ops_a_delegate_yields(index: int) -> None:
    """In INT, where lowering crashes for each of them, and with float support, where another delegate reads it."""
    program = shared(index)
    target = Target.parse(program.profile)
    graph, tags = partition_of(program, target)
    view = View(graph)
    dqs = [node for node in view.calls() if view.is_dq(node)]
    readers = [(dq, user) for dq in dqs for user in view.users(dq) if user.op == "call"]
    if target.has_float:
        seen = {(dq.name, user.name) for dq, user in readers if tags.get(user.name, tags[dq.name]) != tags[dq.name]}
        numbers = delegate_numbers(view, lambda node: stays_outside(view, node, target))
        inside = [(dq, user) for dq, user in readers if not stays_outside(view, user, target)]
        assert seen == {(dq.name, user.name) for dq, user in inside if numbers[dq.name] != numbers[user.name]}
    else:
        tagged = [(dq, user) for dq, user in readers if dq.name in tags]
        taken = detagged(view, target)
        assert taken is not None
        assert {dq.name for dq, user in tagged if tags.get(user.name) != tags[dq.name]} == taken.behind
