"""The judge under test: right lowerings with one thing corrupted.

Every mutant that computes another function must be refuted, at the cell that has the corrupted operator. A mutant that
is proved must compute the same function, which is tried on drawn inputs. docs/lab-notes.md lists these, with the
reason for each.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")
pytest.importorskip("tosa_reference_model")

import torch  # noqa: E402
from torch.export import ExportedProgram  # noqa: E402

from fuseguard.executorch.all_inputs.lowering_forms import Lowering  # noqa: E402
from fuseguard.executorch.all_inputs.prover import prove_all_inputs  # noqa: E402
from fuseguard.executorch.all_inputs.results import AllInputs, CellProof  # noqa: E402
from fuseguard.executorch.copying import copy_program  # noqa: E402
from fuseguard.executorch.delegates import run_edge_program  # noqa: E402
from fuseguard.executorch.lockstep.observing import observe  # noqa: E402
from fuseguard.executorch.lowering import compile_spec_for, lower_to_edge  # noqa: E402
from fuseguard.executorch.state import functional_program  # noqa: E402
from fuseguard.target import Target  # noqa: E402
from fuseguard_testkit.mutating import Mutant, Network, lowered_to, mutants  # noqa: E402
from fuseguard_testkit.quantizing import quantize  # noqa: E402

INT = "TOSA-1.0+INT"


@dataclass
class Subject:
    """A lowered program, right as it is."""

    program: ExportedProgram
    inputs: tuple[torch.Tensor, ...]
    lowering: Lowering
    target: Target
    survivors: list[str] = field(default_factory=list)

    def proved(self) -> AllInputs:
        return prove_all_inputs(self.program, self.inputs, self.lowering.program, self.target, ["output 0"])


def subject(seed: int) -> Subject:
    inputs = (torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(seed)),)
    program = quantize(Network(seed), inputs, INT)
    target = Target.parse(INT)
    lowered = lower_to_edge(copy_program(program), compile_spec_for(target))
    return Subject(functional_program(program), inputs, Lowering(lowered.program), target)


def home(one: Subject, mutant: Mutant, right: AllInputs) -> set[str]:
    """The cells that have the corrupted operator: those whose tensors are first met downstream of it."""
    flow = observe(one.lowering.program, one.inputs).flow
    ends: dict[str, set[str]] = {}
    for cell in right.cells:  # a value that was only moved may be in the same tensor
        ends.setdefault(cell.tensor, set()).add(cell.value)
    found: set[str] = set()
    pending, seen = [(mutant.delegate, mutant.output)], set()
    while pending:
        place = pending.pop()
        if place in seen:
            continue
        seen.add(place)
        name = f"{place[1]} of {place[0]}" if place[0] else place[1]
        if name in ends:
            found |= ends[name]
        else:
            pending += flow.successors(place)
    return found


def differs(one: Subject, mutant: Mutant, times: int = 40) -> bool:
    """Whether the program's outputs change for some of the inputs drawn: far ones, extreme ones, and sparse ones."""
    generator = torch.Generator().manual_seed(1)
    for number in range(times):
        inputs = tuple(torch.randn(item.shape, generator=generator) * 2.0 ** (number % 6 - 2) for item in one.inputs)
        right = run_edge_program(one.lowering.program, inputs)
        with lowered_to(one.lowering, mutant):
            try:
                corrupted = run_edge_program(one.lowering.program, inputs)
            except RuntimeError:
                return True
        if any(not torch.equal(left, other) for left, other in zip(right, corrupted, strict=True)):
            return True
    return False


def judge(one: Subject, mutant: Mutant, right: AllInputs, *, briefly: bool = False) -> str:
    """"refuted", "not run" (the reference model refuses the graph), "sampled" or "survived": every cell is proved.

    Asserts that the place is right.

    ``briefly``: the cells that do not have the corrupted operator are looked at only if its own is not refuted.
    """
    places = home(one, mutant, right)
    common = one.program, one.inputs, one.lowering.program, one.target, ["output 0"]
    try:
        with lowered_to(one.lowering, mutant):
            found = prove_all_inputs(*common, only=places if briefly else None)
            if briefly and not found.refuted:
                found = prove_all_inputs(*common)
    except RuntimeError:
        return "not run"
    if not found.refuted:
        return "sampled" if found.remaining else "survived"
    if mutant.kind == "permutation":
        # A value may be found in the swapped layout, which is right for itself: what reads it is wrong then.
        places |= {cell.value for cell in right.cells if not places.isdisjoint(cell.operands)}
    assert {cell.value for cell in found.refuted} & places or _joined(found.refuted, places), (str(mutant), places)
    return "refuted"


def _joined(refuted: Sequence[CellProof], places: set[str]) -> bool:
    """Whether a value that was not found any more is part of a refuted cell."""
    return any(not places.isdisjoint(cell.joined) for cell in refuted)


@pytest.fixture(scope="module")
def small() -> Subject:
    return subject(0)


def test_the_lowering_is_proved_before_it_is_corrupted(small: Subject) -> None:
    found = small.proved()
    assert {cell.status for cell in found.cells} == {"proved"}, found.cells


def test_mutants_are_refuted_in_their_place(small: Subject) -> None:
    right = small.proved()
    assert _campaign([(small, right)], 20)["survived"] <= 2


@pytest.mark.campaign
def test_five_hundred_mutants() -> None:
    subjects = [subject(seed) for seed in range(3)]
    counts = _campaign([(one, one.proved()) for one in subjects], int(os.environ.get("MUTANTS", "500")), briefly=True)
    assert counts.total() >= 500
    print(counts, *(text for one in subjects for text in one.survivors), sep="\n")


def _campaign(subjects: list[tuple[Subject, AllInputs]], count: int, *, briefly: bool = False) -> Counter[str]:
    counts: Counter[str] = Counter()
    streams: list[Iterator[Mutant]] = [mutants(one.lowering, seed) for seed, (one, _) in enumerate(subjects)]
    for number in range(count):
        (one, right), stream = subjects[number % len(subjects)], streams[number % len(subjects)]
        (mutant,) = islice(stream, 1)
        verdict = judge(one, mutant, right, briefly=briefly)
        counts[verdict] += 1
        if verdict in ("survived", "sampled"):
            one.survivors.append(f"{verdict}: {mutant}")
            assert not differs(one, mutant), f"not caught: {mutant}"
    return counts
