"""Proves the cells of a lowering for every input."""

from __future__ import annotations

import time
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from torch.export import ExportedProgram

from fuseguard.executorch.all_inputs.accumulating import DifferentSums, compare_sums, search
from fuseguard.executorch.all_inputs.comparing import Function, Suspect, enumerate_codes, functions, same_ops
from fuseguard.executorch.all_inputs.forms import Unsupported
from fuseguard.executorch.all_inputs.lowering_forms import Lowering
from fuseguard.executorch.all_inputs.piece import Piece, layout
from fuseguard.executorch.all_inputs.results import AllInputs, CellProof, Counterexample
from fuseguard.executorch.all_inputs.sampling import confirmed, drawn_codes, judged
from fuseguard.executorch.all_inputs.verdicts import Tally
from fuseguard.executorch.lockstep.cells import Judge
from fuseguard.executorch.lockstep.observing import observe
from fuseguard.executorch.lockstep.settling import settled
from fuseguard.executorch.lockstep.walking import Meeting, Trail, Walked, Walks
from fuseguard.executorch.outputs import output_grids
from fuseguard.executorch.state import result_names
from fuseguard.target import Target

#: What a rule for one op may run into. The cell is then sampled, and the reason says so.
_FAILURES = (Unsupported, RuntimeError, LookupError, TypeError, ValueError, ArithmeticError)


def prove_all_inputs(
    program: ExportedProgram,
    inputs: Sequence[Any],
    lowered: ExportedProgram,
    target: Target,
    names: Sequence[str],
    only: Container[str] | None = None,
) -> AllInputs:
    """The cells of a functional program, each proved for all codes of its operands as far as that can be done.

    ``inputs``: the codes that they yield say which tensor of the lowering is which value of the program. ``lowered``:
    the edge program that it was lowered to. ``names``: what the results are called. ``only``: values whose cells are
    wanted, besides those of the results; None means all.

    Raises what :func:`fuseguard.executorch.delegates.run_edge_program` does, and RuntimeError for a graph that flatc
    cannot read.
    """
    started = time.monotonic()
    walks = Walks(program, inputs, observe(lowered, inputs))
    walked = settled(walks)
    prover = _Prover(walks, walked, Lowering(lowered), target)
    found = [meeting for meeting in walked.meetings if meeting.tensor is not None]
    cells = [prover.cell(meeting) for meeting in found if only is None or meeting.name in only]
    cells += prover.results(names)
    return AllInputs(tuple(cells), time.monotonic() - started)


@dataclass
class _Prover:
    walks: Walks
    walked: Walked
    lowering: Lowering
    target: Target
    #: Values that the lowering saturates at the dtype's limits: what reads them is given such codes, too.
    saturated: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.judge = Judge(self.walks.view, self.target, (), self.walks.program)

    def cell(self, meeting: Meeting) -> CellProof:
        """The proof of the cell that ends with a quantize op."""
        tensor = meeting.tensor
        assert tensor is not None
        about = self._about(meeting.name, meeting.trail, str(tensor))
        found = self._proved(
            lambda: Piece(
                self.walks, self.walked, self.lowering, meeting.name, meeting.trail, tensor.place, layout(meeting),
                frozenset(self.saturated),
            ),
            about, float(np.max(self.judge.bounds(meeting, self.walked, any_codes=True))), None,
        )  # fmt: skip
        if found.saturated:
            self.saturated.add(meeting.name)
        return found

    def results(self, names: Sequence[str]) -> Iterable[CellProof]:
        program = self.walks.program
        grids = output_grids(program, self.target, self.walks.view)
        theirs = result_names(self.lowering.program)
        ours = result_names(program)
        for name, our, their, grid, trail in zip(names, ours, theirs, grids, self.walked.trails, strict=True):
            about = self._about(name, trail, their)
            yield self._proved(
                lambda our=our, their=their, trail=trail: Piece(
                    self.walks, self.walked, self.lowering, our, trail, ("", their), None,
                    frozenset(self.saturated),
                ),
                about, 0.0, grid.step,
            )  # fmt: skip

    def _about(self, value: str, trail: Trail, tensor: str) -> CellProof:
        computing = self.judge.computing(trail.ops)
        last = computing[-1] if computing else None
        return CellProof(
            value, "sampled", ops=tuple(node.name for node in computing), operands=trail.operands,
            joined=tuple(item for item in trail.joined if item != value), tensor=tensor,
            source=str(last.source) if last is not None and last.source else "",
            module=last.module if last is not None else "",
        )  # fmt: skip

    def _proved(self, cut: Any, about: CellProof, bound: float, step: float | None) -> CellProof:
        tally = Tally(bound=bound)
        suspects: list[Suspect] = []
        try:
            piece = cut()
        except Unsupported as error:
            return replace(about, reason=str(error))
        try:
            suspects = self._compared(piece, tally, step)
            for suspect in suspects:
                found = confirmed(piece, suspect, bound, step, tally.reach)
                if found is not None:
                    return self._done(about, tally, "refuted", counterexample=found)
        except _FAILURES as error:
            tally.reasons[_said(error)] = None
        if suspects:
            tally.reasons["a difference that did not show when it was run"] = None
        sampled, elements = self._sampled(piece, bound, step, tally)
        if sampled is not None:
            return self._done(about, tally, "refuted", counterexample=sampled)
        if tally.reasons:
            return self._done(about, _without_forms(tally, elements), "sampled")
        return self._done(about, tally, "proved")

    def _compared(self, piece: Piece, tally: Tally, step: float | None) -> list[Suspect]:
        ours, theirs = piece.program_form(), piece.lowering_form()
        codes: list[Function] = []
        sums: list[Function] = []
        for function in functions(piece, theirs, ours):
            kinds = [kind for kind in function.kinds if isinstance(kind, tuple)]
            if not kinds:
                codes.append(function)
            elif any(kind[0] == "input" for kind in kinds):
                if not same_ops(piece, function):
                    raise Unsupported("floats have no codes that could all be tried")
                tally.methods["the same ops"] = None
            elif len(function.slots_ours) == 1 and len(function.slots_theirs) == 1 and len(kinds) == 2:
                sums.append(function)
            else:
                raise Unsupported("several sums in one element")
        suspects = enumerate_codes(piece, codes, tally, step)
        if suspects or not sums:
            return suspects
        try:
            suspect = compare_sums(piece, sums, tally)
        except DifferentSums as error:
            tally.reasons[str(error)] = None
            return search(piece, error)
        return [suspect] if suspect is not None else []

    def _sampled(
        self, piece: Piece, bound: float, step: float | None, tally: Tally
    ) -> tuple[Counterexample | None, int]:
        """Runs the whole cell on some codes, as a check of the forms, and as all that can be done without them."""
        elements = 0
        for codes in drawn_codes(piece, more=bool(tally.reasons)):
            try:
                found, count = judged(piece, codes, bound, step, tally.reach)
            except _FAILURES as error:
                tally.reasons[_said(error)] = None
                return None, elements
            elements += count
            if found is not None:
                return found, elements
        return None, elements

    @staticmethod
    def _done(about: CellProof, tally: Tally, status: Any, counterexample: Counterexample | None = None) -> CellProof:
        return replace(
            about, status=status, method=", ".join(tally.methods), count=tally.count, reason="; ".join(tally.reasons),
            ties=tally.ties, rounded=tally.rounded, bound=tally.bound, saturated=tally.saturated > 0,
            counterexample=counterexample,
        )  # fmt: skip


def _without_forms(tally: Tally, elements: int) -> Tally:
    """The tally of a cell that was sampled: what was compared is the elements of the runs, and drawn codes."""
    tally.count += elements
    tally.methods = {"drawn codes": None}
    return tally


def _said(error: BaseException) -> str:
    text = str(error).strip().partition("\n")[0][:200]
    return text if isinstance(error, Unsupported) else f"{type(error).__name__}: {text}"
