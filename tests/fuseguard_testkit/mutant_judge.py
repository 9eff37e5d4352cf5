"""Judges mutants of right lowerings: whether ``prove --all-inputs`` refutes them, and in the right cell."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias

import networkx as nx
import torch
from torch import nn
from torch.export import ExportedProgram

from fuseguard.executorch.all_inputs.lowering_forms import Lowering
from fuseguard.executorch.all_inputs.prover import prove_all_inputs
from fuseguard.executorch.all_inputs.results import AllInputs
from fuseguard.executorch.copying import copy_program
from fuseguard.executorch.lockstep.observing import Observed, Place, observe
from fuseguard.executorch.lowering import compile_spec_for, lower_to_edge
from fuseguard.executorch.state import functional_program
from fuseguard.target import Target

from .mutating import Mutant, lowered_to
from .quantizing import quantize

INT = "TOSA-1.0+INT"

#: ``refused``: the reference model does not run the graph, which ``prove`` reports as a runtime fault. ``sampled``: no
#: cell is refuted, and some are not proved. ``proved``: every cell is.
Outcome: TypeAlias = Literal["refuted", "refused", "sampled", "proved"]


@dataclass(frozen=True)
class Verdict:
    """``refuted``: the values whose cells were refuted. ``home``: those of the cells with the corrupted operator.

    ``placed``: whether a refuted cell is one of them, or has one of them joined to it. ``reason``: of a mutant that
    was not refuted, what it changes on the inputs that were drawn.
    """

    outcome: Outcome
    refuted: tuple[str, ...] = ()
    home: tuple[str, ...] = ()
    placed: bool = True
    reason: str = ""


@dataclass
class Subject:
    """A lowered program, right as it is. Its lowering, and what is known of it, serve all of its mutants."""

    program: ExportedProgram
    inputs: tuple[torch.Tensor, ...]
    lowering: Lowering
    target: Target
    #: By number of the drawn inputs, the run of the right lowering.
    _runs: dict[int, Observed] = field(default_factory=dict)

    @classmethod
    def of(cls, network: nn.Module, seed: int) -> Subject:
        inputs = (torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(seed)),)
        program = quantize(network, inputs, INT)
        target = Target.parse(INT)
        lowered = lower_to_edge(copy_program(program), compile_spec_for(target))
        return cls(functional_program(program), inputs, Lowering(lowered.program), target)

    @cached_property
    def right(self) -> AllInputs:
        """The proof of the lowering as it is."""
        return self.proved(None)

    @cached_property
    def flow(self) -> nx.DiGraph[Place]:
        return observe(self.lowering.program, self.inputs).flow

    def proved(self, only: set[str] | None) -> AllInputs:
        return prove_all_inputs(
            self.program, self.inputs, self.lowering.program, self.target, ["output 0"], only=only
        )  # fmt: skip

    def home(self, mutant: Mutant) -> set[str]:
        """The cells that have the corrupted operator: those whose tensors are first met downstream of it."""
        ends: dict[str, set[str]] = {}
        for cell in self.right.cells:  # a value that was only moved may be in the same tensor
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
                pending += self.flow.successors(place)
        return found

    def judge(self, mutant: Mutant, *, briefly: bool = False) -> Verdict:
        """``briefly``: the cells that do not have the corrupted operator are proved only if its own is not refuted."""
        home = self.home(mutant)
        try:
            with lowered_to(self.lowering, mutant):
                found = self.proved(home if briefly else None)
                if briefly and not self._placed(mutant, home, found):
                    found = self.proved(None)
        except RuntimeError:
            return Verdict("refused", home=tuple(sorted(home)))
        if not found.refuted:
            outcome: Outcome = "sampled" if found.remaining else "proved"
            return Verdict(outcome, home=tuple(sorted(home)), reason=self.changes(mutant))
        refuted = tuple(sorted(cell.value for cell in found.refuted))
        return Verdict("refuted", refuted, tuple(sorted(home)), self._placed(mutant, home, found))

    def _placed(self, mutant: Mutant, home: set[str], found: AllInputs) -> bool:
        """Whether a refuted cell is in the right place, or is joined with a value that is."""
        places = self._past_swapped(home, found) if mutant.kind == "permutation" else home
        return any(cell.value in places or not places.isdisjoint(cell.joined) for cell in found.refuted)

    def _past_swapped(self, home: set[str], found: AllInputs) -> set[str]:
        """``home``, and what reads those of its values that are proved, and so on.

        A value may be found in the swapped layout, which is right for itself, and so may what is computed from it
        element by element. What is not is wrong.
        """
        proved = {cell.value for cell in found.cells if cell.status == "proved"}
        places, pending = set(home), home & proved
        while pending:
            readers = {cell.value for cell in self.right.cells if not pending.isdisjoint(cell.operands)} - places
            places |= readers
            pending = readers & proved
        return places

    def changes(self, mutant: Mutant, times: int = 40) -> str:
        """What changes for some of the inputs drawn: the results, tensors of codes, or nothing.

        The inputs are far ones, extreme ones, and sparse ones.
        """
        changed: dict[str, int] = {}
        for number in range(times):
            right = self._run(number)
            with lowered_to(self.lowering, mutant):
                try:
                    corrupted = observe(self.lowering.program, self._drawn(number))
                except RuntimeError:
                    return "results: the graph is refused"
            if any(not torch.equal(one, other) for one, other in zip(right.outputs, corrupted.outputs, strict=True)):
                return "results"
            for one, other in zip(right.tensors, corrupted.tensors, strict=True):
                count = int((one.values != other.values).sum())
                if count:
                    changed[str(one)] = changed.get(str(one), 0) + count
        listed = ", ".join(f"{count} codes of {name}" for name, count in changed.items())
        return listed or "nothing"

    def _drawn(self, number: int) -> tuple[torch.Tensor, ...]:
        generator = torch.Generator().manual_seed(number)
        return tuple(torch.randn(item.shape, generator=generator) * 2.0 ** (number % 6 - 2) for item in self.inputs)

    def _run(self, number: int) -> Observed:
        if number not in self._runs:
            self._runs[number] = observe(self.lowering.program, self._drawn(number))
        return self._runs[number]
