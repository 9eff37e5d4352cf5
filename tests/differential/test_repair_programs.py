"""Repairs of drawn programs, several violations at once: what a program computes never changes."""

from __future__ import annotations

import os

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")

from fuseguard.executorch import repair  # noqa: E402
from fuseguard.executorch.outputs import largest_difference  # noqa: E402

from .grammar import program_of  # noqa: E402
from .program_modules import NotAProgram, build  # noqa: E402

SHORT = int(os.environ.get("FUSEGUARD_SHORT", "24"))


@pytest.mark.parametrize("index", range(SHORT))
def test_a_repair_is_exact_and_needs_no_second(index: int) -> None:
    drawn = program_of(5, index)
    try:
        program, inputs = build(drawn)[:2]
    except NotAProgram as error:  # Arm's quantizer refuses some programs on some releases
        pytest.skip(f"no quantized program: {error}")
    result = repair(program, drawn.profile)
    assert result.exact
    assert largest_difference(program, result.program, inputs) == 0
    assert not repair(result.program, drawn.profile).applied
    mended = {item.finding.code for item in result.applied}
    left = {finding.code for finding in result.remaining if finding.refuse and finding.repairable}
    assert not left, f"repaired {mended}, but {left} could still be"
