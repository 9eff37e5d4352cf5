"""A failing program made small: the failure stays the same, the qparams and the inputs that show it too."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from executorch.exir import EdgeCompileConfig
from torch.export import ExportedProgram

from fuseguard.executorch.copying import exported_program_of
from fuseguard.executorch.dynamic_sizes import with_sizes
from fuseguard.executorch.inputs import input_sets
from fuseguard.executorch.partition import target_of
from fuseguard.executorch.proof import Proof
from fuseguard.executorch.reducing.failure import FAILING, Failure, Judge
from fuseguard.executorch.reducing.piece import Piece
from fuseguard.executorch.reducing.script import script_of
from fuseguard.executorch.reducing.search import OutOfTime, Search
from fuseguard.target import Target

#: Seconds after which no further candidate is judged.
BUDGET = 300.0


class NothingToReduce(ValueError):
    """The program does not fail.

    Attributes:
        proof: the judge's proof of the program.
    """

    def __init__(self, proof: Proof) -> None:
        self.proof = proof
        what = {
            "exact": "the lowering is exact",
            "bounded": "the lowering is right within the bounds of its roundings",
        }.get(proof.outcome, f"the judge cannot run the lowering: {proof.exception}")
        super().__init__(f"nothing to reduce: {what}")


class LostFailure(RuntimeError):
    """A program that was derived from the given one does not fail the same way."""


class NoScript(ValueError):
    """The failure cannot be shown by a script of one call without fuseguard."""


@dataclass(frozen=True)
class Reduction:
    """A small program that fails as the given one did.

    Attributes:
        program: the small program.
        inputs: the inputs that show the failure, one tensor for each input of ``program``.
        proof: the judge's proof of ``program``, with its cells.
        failure: what stayed the same.
        ops: the targets of the small program's ops in order, without Q and DQ.
        ops_before: the number of ops of the given program, without Q and DQ.
        tried: the number of candidates judged.
        seconds: how long the search took.
        stopped: why there may be a smaller program: ``"budget"``, ``"interrupted"``, or "" if every edit was tried.
        trace: the traceback, if lowering raises.
    """

    program: ExportedProgram
    inputs: tuple[torch.Tensor, ...]
    proof: Proof
    failure: Failure
    ops: tuple[str, ...]
    ops_before: int
    piece: Piece = field(repr=False, compare=False)
    judge: Judge = field(repr=False, compare=False)
    tried: int
    seconds: float
    stopped: Literal["", "budget", "interrupted"] = ""
    trace: str = ""

    def script(self, notes: Sequence[str] = (), title: str = "") -> str:
        """A Python script that builds, lowers and runs the small program, for a bug report.

        It imports torch and executorch, and tosa_reference_model (package tosa-tools) to run delegates.

        Args:
            notes: paragraphs for the head of the script, after what was seen.
            title: its first line; "" means the ops and the outcome.

        Raises:
            NoScript: the lowering is guarded, or the fault is in the state or in a later call alone.
            LostFailure: the program that the script builds does not fail the same way.
        """
        proof = self.proof
        if proof.guarded:
            raise NoScript("a guarded lowering cannot be had without fuseguard, so there is no script for it")
        in_state = bool(proof.differing) and not any(name.startswith("output") for name in proof.differing)
        if proof.outcome == "wrong" and (proof.call > 1 or in_state):
            raise NoScript("the fault is in the state of the program, or in a later call; a script shows one call")
        text = script_of(self, notes, title)
        built: dict[str, Any] = {"__name__": "script"}
        exec(compile(text, "script", "exec"), built)
        if not self.judge.fails_like(self.failure, built["quantized_program"](), built["inputs"]()):
            raise LostFailure("lost the failure: the program that the script builds does not fail the same way")
        return text


def reduce(
    exported_program: ExportedProgram,
    inputs: Sequence[Any],
    target: str | Target = "TOSA-1.0+INT+FP",
    checks: Literal["guard"] | None = None,
    *,
    calls: int | None = None,
    kwargs: Mapping[str, Any] | None = None,
    dims: Mapping[str, int] | None = None,
    compile_config: EdgeCompileConfig | None = None,
    budget: float = BUDGET,
    progress: Callable[[str], None] | None = None,
) -> Reduction:
    """Make a program small that the backend lowers incorrectly, or crashes on, while it fails the same way.

    Each candidate is lowered and judged in this process, as :func:`fuseguard.executorch.prove` does. It fails the same
    way if it has the same outcome; if what raises has the same type, the same message without numbers and node names
    and, in lowering, comes from the same function; and if a rule that names the first wrong cell still names one.

    Args:
        exported_program: a quantized program in the ATen dialect. It is copied, never changed.
        inputs: example inputs, or several sets, as for ``prove``. The worst set is kept.
        target: as for ``prove``.
        checks: as for ``prove``. Only ``"guard"`` or None.
        calls: as for ``prove``.
        kwargs: as for ``prove``.
        dims: as for ``prove``.
        compile_config: as for ``prove``.
        budget: seconds after which no further candidate is judged. Ctrl-C (KeyboardInterrupt) ends the search too, and
            what was found until then is returned.
        progress: is given a line of text before each candidate.

    Raises:
        NothingToReduce: the program does not fail.
        LostFailure: exported again, it does not fail the same way.
        ValueError: ``budget`` is not positive, or ``checks`` is something else.
        TargetError: as for ``prove``.
        InputsError: as for ``prove``.
        TypeError: as for ``prove``.
        ImportError: as for ``prove``.
        Exception: whatever the eager program itself raises on ``inputs``.
    """
    if not budget > 0:
        raise ValueError(f"the budget is {budget} seconds, and must be positive")
    if checks not in (None, "guard"):
        raise ValueError(f"checks is {checks!r}; valid are 'guard' and None")
    began = time.monotonic()
    exported_program = exported_program_of(exported_program, "reduce")
    if dims is not None:
        exported_program = with_sizes(exported_program, dims)
    resolved = target_of(target, None, compile_config)
    judge = Judge(resolved, checks, compile_config, calls)
    sets = input_sets(exported_program, inputs, kwargs)
    if progress is not None:
        progress("judging the program")
    proof = judge.prove(exported_program, sets if len(sets) > 1 else sets[0], locate=True)
    if proof.outcome not in FAILING:
        raise NothingToReduce(proof)
    failure, _ = judge.failure_of(exported_program, proof)
    piece = Piece.of(exported_program, sets[proof.worst - 1])
    search = Search(piece, failure, judge, began + budget, progress)
    stopped: Literal["", "budget", "interrupted"] = ""
    try:
        search.run(proof)
    except OutOfTime:
        stopped = "budget"
    except KeyboardInterrupt:
        stopped = "interrupted"
    best = search.best
    program = best.export()
    small = judge.prove(program, best.inputs, locate=True)
    seen, trace = judge.failure_of(program, small)
    if replace(seen, rules=failure.rules) != failure:
        what = "exported again, the program" if not search.confirmed else "judged once more, the small program"
        raise LostFailure(
            f"lost the failure: {what} is {small.outcome}{f' ({small.exception})' if small.exception else ''}, and was "
            f"{proof.outcome}{f' ({proof.exception})' if proof.exception else ''}"
        )
    return Reduction(
        program,
        best.inputs,
        small,
        failure,
        best.ops,
        len(piece.ops),
        best,
        judge,
        search.tried,
        time.monotonic() - began,
        stopped,
        trace,
    )
