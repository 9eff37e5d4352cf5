"""Failing programs of the campaign's grammars are reduced to a few ops, and fail the same way.

pytest tests/differential/test_reduced_programs.py -m campaign -s
"""

from __future__ import annotations

import itertools
import statistics
from collections import Counter
from collections.abc import Iterator

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.campaign]
pytest.importorskip("executorch")
pytest.importorskip("tosa_reference_model")

from differential.campaign import GRAMMARS  # noqa: E402
from differential.grammar import Program  # noqa: E402
from differential.program_modules import NotAProgram, build, feeds  # noqa: E402
from differential.result_grammar import ResultProgram  # noqa: E402
from fuseguard.executorch.hurry import tidy  # noqa: E402
from fuseguard.executorch.reducing.reduction import NothingToReduce, Reduction, reduce  # noqa: E402

SEED, PROGRAMS, MOST_OPS = 190, 20, 6


def drawn() -> Iterator[tuple[str, int, Program]]:
    """Programs of all grammars, in turn."""
    for index in itertools.count():
        for name, draw in GRAMMARS.items():
            yield name, index, draw(SEED, index)


def reduced(program: Program) -> Reduction | None:
    """None for what is no program, or does not fail."""
    from executorch.exir import EdgeCompileConfig

    try:
        quantized, calibrated, _ = build(program)
    except NotAProgram:
        return None
    unchecked = isinstance(program, ResultProgram) and not program.ir_validity
    config = EdgeCompileConfig(_check_ir_validity=False) if unchecked else None
    inputs = feeds(program, calibrated)[0]
    try:
        return reduce(quantized, inputs, program.profile, compile_config=config, budget=600)
    except NothingToReduce:
        return None


def test_failing_programs_become_small() -> None:
    sizes, outcomes, seconds = [], Counter(), []
    large = []
    for name, index, program in drawn():
        found = reduced(program)
        tidy()
        if found is None:
            continue
        sizes.append(len(found.ops))
        outcomes[found.proof.outcome] += 1
        seconds.append(found.seconds)
        print(
            f"{name} {index}: {found.proof.outcome}, {found.ops_before} -> {len(found.ops)} ops "
            f"({', '.join(found.ops)}), {found.tried} candidates, {found.seconds:.0f} s {found.stopped}",
            flush=True,
        )
        if len(found.ops) > MOST_OPS:
            large.append((name, index, found.ops))
        if len(sizes) == PROGRAMS:
            break
    print(f"ops: {sorted(Counter(sizes).items())}, {outcomes}, median {statistics.median(seconds):.0f} s")
    assert not large
