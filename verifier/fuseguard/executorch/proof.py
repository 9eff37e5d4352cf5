"""What the judge says: one proof for one program on one target, on one input set or on several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch

from fuseguard.engine.shown import Printed, data_of, one_line, one_line_at, page_of
from fuseguard.executorch.engines.difference import EngineDifference, EngineLocation
from fuseguard.executorch.engines.npu import NpuReport
from fuseguard.executorch.explanations import Explanation, of_all_calls

if TYPE_CHECKING:
    from fuseguard.executorch.all_inputs.results import AllInputs
    from fuseguard.executorch.lockstep.cells import Cell

Outcome: TypeAlias = Literal["exact", "bounded", "wrong", "crash", "undefined", "runtime_fault", "not_judged"]

_MOST_CELLS = 4  # that are printed

_FROM_BEST: tuple[Outcome, ...] = ("exact", "bounded", "not_judged", "wrong", "undefined", "runtime_fault", "crash")


@dataclass(frozen=True, repr=False)
class Proof(Printed):
    """What lowering and running one program on one target showed.

    The outcomes are:

    - ``exact``: every output code equals the eager one or, at a rounding tie, that of the same program computed in
      float64. Float outputs differ by less than comparing.FLOAT_TOLERANCE of the largest value.
    - ``bounded``: the result differs from the eager program's, and one of these accounts for every difference:
        - The Q ops saturate at the dtype's limits instead of at qmin and qmax. Results then differ only where a code
          was clipped.
        - Maximum, minimum and comparisons round their operands to the smaller of the two scales, and ops that work in
          int32 read one another without the rounding and saturation of the Q between them.
        - For int16 outputs and for what is computed from int16 codes: one step for each anchor upstream, whose INT48
          accumulator is rescaled with a 16-bit multiplier, for each average and for each elementwise op, whose operands
          are rounded in int32, and the interpolation error of each 16-bit lookup table. The program may amplify them.
    - ``wrong``: the result is different.
    - ``crash``: lowering raised.
    - ``undefined``: the reference model calls the result TOSA_UNPREDICTABLE.
    - ``runtime_fault``: a delegate could not be run, or yielded another dtype than it declares.
    - ``not_judged``: the program was lowered, but the reference model cannot run it for a reason that says nothing
      about the lowering (dynamic shapes, tensors without elements). ``exception`` says what to do.

    The new values of the buffers and inputs that the program changes are results like its outputs.

    If several input sets were given, all figures are those of the worst one. If there are ``cells``, ``outcome`` is
    that of the worst of them (:func:`fuseguard.executorch.lockstep.deciding.outcome_of`).

    Attributes:
        outcome: one of the above.
        target: what the program was lowered for.
        release: the version of ExecuTorch that lowered it.
        guarded: whether fuseguard's guard was on.
        max_error_steps: the largest error, in steps of the output's own scale. None if no output has a scale.
        max_error: the largest error, in real units.
        sqnr_db: the signal-to-error ratio in dB; inf if the results are equal.
        mismatches: how many output elements differ.
        rounding_ties: how many of these are rounding ties, which are accepted.
        elements: the number of output elements.
        cpu_ops: the targets of the ops outside the delegates, in order, with Q and DQ.
        delegated_ops: the number of calls inside the delegates, without Q and DQ.
        delegated: the names of their nodes.
        delegates: the number of delegates.
        exception: what was raised, "" if nothing was.
        end_to_end: the outcome that the comparison of the results alone gives, if there are ``cells``; otherwise "".
        explained_by: the models by which elements are accepted that are not the eager program's. Empty if nothing
            differs, and if ``end_to_end``, or without cells ``outcome``, is neither ``exact`` nor ``bounded``.
        calls: how many times the program was run in a row, each time on the state that the lowered program had left.
            All figures are about all calls. 0 if lowering raised.
        call: the call that the outcome is about, counted from 1: the first that is not ``ok``, which is the last one
            run, or else the first with the worst outcome. 0 if nothing differs.
        differing: the results that differ in this call (``output 0``, ``buffer k``).
        by_inputs: the proof of each input set, in order, if several were given.
        worst: which of them is the worst, counted from 1.
        cells: the program piece by piece, each judged on the lowering's own inputs to it, in the call that ``call``
            names or the first (:class:`fuseguard.executorch.lockstep.cells.Cell`). Empty unless asked for, and if
            lowering or a delegate failed.
        all_inputs: the cells, each proved or refuted for all codes of its operands
            (:class:`fuseguard.executorch.all_inputs.results.AllInputs`). None unless asked for, and if nothing could be
            run.
        engine: what ran the delegates.
        engine_differences: the outputs of delegates for which this engine and the reference model differ. The outcome
            is then ``wrong``.
        engine_locations: for each delegate with a difference, the TOSA operator where it begins, if the program was
            judged piece by piece (``locate=True``).
        notes: sentences about what this engine does not show, and about what could not be judged.
        npu: what Vela says about the delegates, with the engine ``vela``. If Vela refuses one of them, lowering raises:
            the outcome is ``crash``, and ``npu.tosa`` has the outcome on the TOSA.
        outputs: the results of the lowered program, then the new values of what it changes. Each has the shape of the
            eager one.
        reference: those of the eager program.
    """

    outcome: Outcome
    target: str
    release: str
    guarded: bool = False
    max_error_steps: float | None = None
    max_error: float = 0.0
    sqnr_db: float = math.inf
    mismatches: int = 0
    rounding_ties: int = 0
    elements: int = 0
    cpu_ops: tuple[str, ...] = ()
    delegated_ops: int = 0
    delegated: tuple[str, ...] = ()
    delegates: int = 0
    exception: str = ""
    end_to_end: Outcome | Literal[""] = ""
    explained_by: tuple[Explanation, ...] = ()
    calls: int = 1
    call: int = 0
    differing: tuple[str, ...] = ()
    by_inputs: tuple[Proof, ...] = field(default=(), repr=False)
    worst: int = 1
    cells: tuple[Cell, ...] = field(default=(), repr=False, compare=False)
    all_inputs: AllInputs | None = field(default=None, repr=False, compare=False)
    engine: str = "tosa"
    engine_differences: tuple[EngineDifference, ...] = ()
    engine_locations: tuple[EngineLocation, ...] = ()
    notes: tuple[str, ...] = ()
    npu: NpuReport | None = field(default=None, repr=False, compare=False)
    outputs: tuple[torch.Tensor, ...] = field(default=(), repr=False, compare=False)
    reference: tuple[torch.Tensor, ...] = field(default=(), repr=False, compare=False)

    def _repr_html_(self) -> str:
        """What a notebook shows: the outcome, and the page of the proof in a frame."""
        return page_of("proof_html", self)

    @property
    def ok(self) -> bool:
        """Whether the lowering can be trusted: exact, or off by saturation alone."""
        return self.outcome in ("exact", "bounded")

    def exceeded(self, min_sqnr: float | None = None, max_steps: float | None = None) -> tuple[str, ...]:
        """Which of your limits the figures exceed, as sentences; none that is None.

        ``min_sqnr`` in dB, ``max_steps`` in steps of the output. They are about the results end to end, and say nothing
        of whether the lowering is right.
        """
        found = []
        if min_sqnr is not None and self.sqnr_db < min_sqnr:
            found.append(f"the SQNR is {self.sqnr_db:.4g} dB, less than {min_sqnr:g}")
        if max_steps is not None and (self.max_error_steps or 0.0) > max_steps:
            found.append(f"the largest error is {self.max_error_steps:.4g} steps, more than {max_steps:g}")
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data, with the keys of ``fuseguard prove --output-format json`` (``fuseguard schema prove``)."""
        names = [f"inputs {number}" for number in range(1, max(len(self.by_inputs), 1) + 1)]
        return data_of("proof", "to_dict", self, "", names)

    def __str__(self) -> str:
        """In short: the verdict, how far off, and the first places that are wrong."""
        guarded = ", guarded" if self.guarded else ""
        lines = [one_line(f"{self.outcome} on {self.target}{guarded}")]
        if self.by_inputs:
            lines.append(f"  inputs: set {self.worst} is the worst of {len(self.by_inputs)}")
        if self.exception:
            lines.append(one_line(f"  exception: {self.exception.strip().partition(chr(10))[0]}"))
        if self.outcome in ("exact", "bounded", "wrong"):
            plural = "" if self.max_error_steps == 1 else "s"
            steps = "" if self.max_error_steps is None else f" ({self.max_error_steps:.6g} step{plural})"
            lines.append(
                f"  {self.mismatches} of {self.elements} elements differ, by {self.max_error:.6g}{steps} at most; "
                f"SQNR {self.sqnr_db:.4g} dB"
            )
        if self.explained_by:
            lines.append(one_line(f"  explained by: {', '.join(item.name for item in self.explained_by)}"))
        if self.outcome != "crash":
            computing = sum("quantize_per" not in op for op in self.cpu_ops)
            ops, delegates = ("" if count == 1 else "s" for count in (self.delegated_ops, self.delegates))
            placed = f"{self.delegated_ops} op{ops} in {self.delegates} delegate{delegates}"
            lines.append(f"  {placed}, {computing} on the CPU")
        if self.outcome == "wrong" and not self.cells:
            lines.append("  prove(..., locate=True) says where")
        lines += [
            one_line_at(f"  wrong: {' -> '.join(cell.ops) or cell.value}", str(cell.source or cell.value))
            for cell in self.wrong_cells[:_MOST_CELLS]
        ]
        if len(self.wrong_cells) > _MOST_CELLS:
            lines.append(f"  and wrong in {len(self.wrong_cells) - _MOST_CELLS} more places")
        return "\n".join(lines)

    @property
    def wrong_cells(self) -> tuple[Cell, ...]:
        """Where the lowering goes wrong, the earliest place first; what only follows from it is left out."""
        return tuple(cell for cell in self.cells if cell.status == "wrong")

    @property
    def bounded_cells(self) -> tuple[Cell, ...]:
        """Where the lowering rounds or saturates otherwise than the program, within the bound of the cell's own ops."""
        return tuple(cell for cell in self.cells if cell.status in ("rounded", "saturated"))

    @property
    def ties(self) -> int:
        """How many codes in all cells are at a rounding tie, and not the program's but the one beside it."""
        return sum(cell.ties for cell in self.cells)

    @property
    def explained(self) -> bool:
        """Whether the results are the eager program's, or something explains the difference."""
        return (self.end_to_end or self.outcome) in ("exact", "bounded")

    @property
    def judges_disagree(self) -> bool:
        """Whether the cells and the comparison end to end do not have the same outcome."""
        return self.end_to_end not in ("", self.outcome)


def with_differences(proof: Proof, differences: Sequence[EngineDifference]) -> Proof:
    """The proof of a run in which an engine yielded something else than the reference model: ``wrong``, if it did.

    Where the results do not show it, the outputs of the delegates stand for those of the program in ``differing``.
    """
    if not differences:
        return proof
    outcome: Outcome = "wrong" if proof.ok else proof.outcome
    outputs = tuple(f"output {item.output} of delegate {item.delegate}" for item in differences)
    return replace(
        proof,
        outcome=outcome,
        rounding_ties=0,
        explained_by=(),
        differing=proof.differing or outputs,
        engine_differences=tuple(differences),
    )


def with_npu(proof: Proof, report: NpuReport) -> Proof:
    """The proof of a program that Vela has compiled: a ``crash`` if Vela refuses a delegate or its process dies of one.

    If Vela only takes too long, it is ``not_judged``.
    """
    report = replace(report, tosa=proof.outcome)
    if not report.faults:
        return replace(proof, npu=report)
    worst = min(report.faults, key=lambda item: item.fault == "slow")
    changes: dict[str, Any] = {
        "outcome": "not_judged" if worst.fault == "slow" else "crash",
        "exception": f"delegate {worst.number}: {worst.reason}",
        "max_error_steps": None, "max_error": 0.0, "sqnr_db": -math.inf, "mismatches": 0, "rounding_ties": 0,
        "explained_by": (), "calls": 0, "call": 0, "differing": (), "cells": (), "end_to_end": "", "outputs": (),
    }  # fmt: skip
    note = f"Without Vela, the TOSA of the same delegates is {proof.outcome} in the reference model."
    sets = tuple(replace(one, **changes) for one in proof.by_inputs)
    return replace(proof, **changes, by_inputs=sets, notes=(*proof.notes, note), npu=report)


def of_calls(proofs: Sequence[Proof]) -> Proof:
    """What calls in a row showed together: the last one's proof, with the figures of all."""
    last = proofs[-1]
    about = len(proofs)
    if last.ok:
        worst = "bounded" if any(proof.outcome == "bounded" for proof in proofs) else "exact"
        shown = [worst == "bounded" or bool(proof.differing) for proof in proofs]  # cells may differ and no result
        about = next((call for call, proof in enumerate(proofs, 1) if proof.outcome == worst and shown[call - 1]), 0)
    steps = [proof.max_error_steps for proof in proofs if proof.max_error_steps is not None]
    return replace(
        last,
        outcome=proofs[about - 1].outcome,
        end_to_end=proofs[about - 1].end_to_end,
        calls=len(proofs),
        call=about,
        differing=proofs[about - 1].differing if about else (),
        cells=proofs[about - 1 if about else 0].cells,
        max_error_steps=max(steps) if steps else None,
        max_error=max(proof.max_error for proof in proofs),
        sqnr_db=min(proof.sqnr_db for proof in proofs),
        mismatches=sum(proof.mismatches for proof in proofs),
        rounding_ties=sum(proof.rounding_ties for proof in proofs),
        elements=sum(proof.elements for proof in proofs),
        explained_by=of_all_calls(proof.explained_by for proof in proofs) if last.explained else (),
    )


def of_input_sets(proofs: Sequence[Proof]) -> Proof:
    """The proof of the worst input set, with those of all; the proof itself if there is one."""
    if len(proofs) == 1:
        return proofs[0]
    worst = max(range(len(proofs)), key=lambda number: _badness(proofs[number]))
    return replace(proofs[worst], by_inputs=tuple(proofs), worst=worst + 1)


def _badness(proof: Proof) -> tuple[int, float, float]:
    """By outcome, then by steps of the output, then by SQNR."""
    return _FROM_BEST.index(proof.outcome), proof.max_error_steps or 0.0, -proof.sqnr_db
