"""The judge: lower a program with the installed backend, run every delegate, compare with the eager program.

A right lowering of a quantized program is bit-exact against the eager Q/DQ program, so any claim about a
graph can be proved. Delegates are run in the TOSA reference model (package tosa-tools), whatever the
accelerator: for VGF and Ethos-U the same TOSA specification is lowered with the TOSA partitioner. What the
Vela or VGF compiler makes of that TOSA is not judged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch
from executorch.exir import EdgeCompileConfig
from torch.export import ExportedProgram
from torch.fx.passes.operator_support import OperatorSupportBase

from fuseguard.executorch.comparing import absolute_errors, differing_elements, sqnr
from fuseguard.executorch.copying import copy_program, exported_program_of
from fuseguard.executorch.delegates import DelegateFault, NotJudged, UndefinedResult, run_edge_program
from fuseguard.executorch.explaining import explain
from fuseguard.executorch.explanations import Explanation, of_all_calls
from fuseguard.executorch.inputs import flat_inputs
from fuseguard.executorch.lowering import Lowered, compile_spec_for, lower_to_edge
from fuseguard.executorch.outputs import output_grids, run_eager
from fuseguard.executorch.partition import support_checks, target_of
from fuseguard.executorch.state import CALLS_WITH_STATE, carry_on, functional_program, slots
from fuseguard.target import Target

if TYPE_CHECKING:
    from fuseguard.executorch.lockstep.cells import Cell

Outcome: TypeAlias = Literal["exact", "bounded", "wrong", "crash", "undefined", "runtime_fault", "not_judged"]


@dataclass(frozen=True)
class Proof:
    """What lowering and running one program on one target showed.

    ``outcome``:
        ``exact``: every output code equals the eager one (float outputs: within comparing.FLOAT_TOLERANCE of the
        largest value) or, at a rounding tie, that of the same program computed in float64
        (``rounding_ties`` counts those elements);
        ``bounded``: equal to the eager program whose Q ops saturate at the dtype's limits instead of at
        qmin/qmax, and so different from the program itself only where a code was clipped; or whose maximum,
        minimum and comparisons round their operands to the smaller of the two scales and whose ops that work in
        int32 read one another without the rounding and saturation of the Q between; or, for int16
        outputs and for what comes of int16 codes, within one step for each anchor upstream, whose INT48
        accumulator is rescaled with a 16-bit multiplier, each average and each elementwise op, whose
        operands are rounded in int32, and the interpolation error of each 16-bit lookup table, all of
        them amplified as the program amplifies them;
        ``wrong``: different; ``crash``: lowering raised; ``undefined``: the reference model calls the result
        TOSA_UNPREDICTABLE; ``runtime_fault``: a delegate could not be run or yielded another dtype than it
        declares; ``not_judged``: lowered, and the reference model cannot run it for a reason that says nothing about
        the lowering (dynamic shapes, tensors without elements). ``exception`` says what to do.
    ``max_error_steps`` is in steps of the output's own scale, None if no output has one. ``max_error`` is in
    real units, ``sqnr_db`` the signal to error ratio in dB (inf if equal). ``mismatches`` of ``elements``
    output elements differ. ``cpu_ops`` are the targets left outside the delegates, in order, Q and DQ
    included; ``delegated_ops`` counts the calls inside the ``delegates``, Q and DQ left out;
    ``delegated`` names their nodes. ``explained_by`` says by which models elements are accepted that are not the
    eager program's; it is empty where nothing differs, and where the outcome is neither ``exact`` nor ``bounded``.

    The new values of the buffers and inputs that the program changes are results like its outputs: ``outputs`` and
    ``reference`` have them at the end. The program was run ``calls`` times in a row, each on the state that the
    lowered program had left, and all figures are about all calls. ``differing`` names the results that differ
    (``output 0``, ``buffer k``) in the ``call`` that the outcome is about, counted from 1: the first that is not
    ``ok``, which is the last one run, else the first with the worst outcome. ``call`` is 0 if nothing differs, and
    both are if lowering raises.

    ``cells``: the program piece by piece, each judged on the lowering's own inputs to it
    (:class:`fuseguard.executorch.lockstep.cells.Cell`), in the call that ``call`` names, or the first. They are empty
    unless asked for, and where lowering or a delegate failed. ``wrong_cells`` are those that went wrong.
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
    explained_by: tuple[Explanation, ...] = ()
    calls: int = 1
    call: int = 0
    differing: tuple[str, ...] = ()
    cells: tuple[Cell, ...] = field(default=(), repr=False, compare=False)
    outputs: tuple[torch.Tensor, ...] = field(default=(), repr=False, compare=False)
    reference: tuple[torch.Tensor, ...] = field(default=(), repr=False, compare=False)

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

    @property
    def wrong_cells(self) -> tuple[Cell, ...]:
        """Where the lowering goes wrong, the earliest place first; what only follows from it is left out."""
        return tuple(cell for cell in self.cells if cell.status == "wrong")


def prove(
    exported_program: ExportedProgram,
    inputs: Sequence[Any],
    target: str | Target = "TOSA-1.0+INT+FP",
    checks: Sequence[OperatorSupportBase] | Literal["guard"] | None = None,
    *,
    calls: int | None = None,
    kwargs: Mapping[str, Any] | None = None,
    compile_config: EdgeCompileConfig | None = None,
    locate: bool | Literal["always"] = False,
) -> Proof:
    """Lower ``exported_program`` with the installed backend, run it on ``inputs`` and compare.

    Args:
        exported_program: a quantized program in the ATen dialect. It is copied, never changed.
        inputs: example inputs as for ``exported_program.module()(*inputs, **kwargs)``, or all flat and in order.
        target: TOSA specification or accelerator; the release is always the installed one.
        checks: operator-support checks for the partitioner; ``"guard"`` means fuseguard's own; None lowers as
            the backend would by itself.
        calls: how many times to run the program in a row, on the state that it leaves; None means three times where
            it changes a buffer or an input, else once. All calls are on the same inputs, but for those it changes.
        kwargs: the inputs that the program takes by keyword.
        compile_config: what ``to_edge_transform_and_lower`` is given. None means ExecuTorch's default, which checks
            the edge IR (``_check_ir_validity=True``), unless ``target`` is a Target that says otherwise.
        locate: find out where a lowering that is not exact differs (``Proof.cells``); ``"always"``: where it is exact,
            too. It takes one more run of the delegates.

    Raises:
        TargetError: the target is not valid.
        ValueError: ``calls`` is less than 1, or ``checks`` is a string other than ``"guard"``.
        InputsError: a ValueError; the inputs do not fit the program.
        TypeError: ``exported_program`` is something else.
        ImportError: executorch or tosa-tools is not installed.
        Whatever the eager program itself raises on ``inputs``.
    """
    if calls is not None and calls < 1:
        raise ValueError(f"calls is {calls}, and a program that is never run proves nothing")
    if isinstance(checks, str) and checks != "guard":
        raise ValueError(f"checks is {checks!r}; valid are 'guard', None and a list of operator-support checks")
    inputs = flat_inputs(exported_program_of(exported_program, "prove"), inputs, kwargs)
    resolved = target_of(target, None, compile_config)
    if not resolved.ir_validity and compile_config is None:
        compile_config = EdgeCompileConfig(_check_ir_validity=False)
    spec = compile_spec_for(resolved)
    if checks == "guard":
        checks = support_checks(resolved)
    state = slots(exported_program)
    calls = calls or (CALLS_WITH_STATE if state else 1)
    eager = copy_program(exported_program, share_weights=True)
    reference = run_eager(eager, inputs)
    common: dict[str, Any] = {
        "target": str(resolved),
        "release": str(resolved.release),
        "guarded": bool(checks),
        "reference": reference,
        "elements": sum(tensor.numel() for tensor in reference),
    }
    try:
        lowered = lower_to_edge(copy_program(exported_program), spec, checks, compile_config)
    except ImportError:
        raise  # what is missing is the environment's, and no verdict on the program
    except Exception as error:  # the backend raises anything; that it does is the verdict
        return Proof("crash", exception=_root_cause(error), sqnr_db=-math.inf, calls=0, **common)
    common |= {
        "cpu_ops": lowered.cpu_ops,
        "delegated_ops": len(lowered.delegated),
        "delegated": lowered.delegated,
        "delegates": lowered.delegates,
    }
    program = functional_program(exported_program, share_weights=True)
    names = [*(f"output {number}" for number in range(len(reference) - len(state))), *map(str, state)]
    proofs: list[Proof] = []
    while True:
        proof = _call(program, inputs, reference, resolved, lowered, names, common)
        if locate == "always" or (locate and proof.outcome in ("bounded", "wrong")):
            proof = _with_cells(proof, program, inputs, lowered, resolved, names)
        proofs.append(proof)
        if len(proofs) == calls or not proofs[-1].ok:
            return _of_all(proofs)
        inputs = carry_on((eager, program, lowered.program), inputs, proofs[-1].outputs)
        reference = run_eager(eager, inputs)


def _call(
    program: ExportedProgram,
    inputs: Sequence[Any],
    reference: tuple[torch.Tensor, ...],
    target: Target,
    lowered: Lowered,
    names: Sequence[str],
    common: dict[str, Any],
) -> Proof:
    """One run of the lowered program, on the state that it holds."""
    common = {**common, "reference": reference}
    try:
        outputs = run_edge_program(lowered.program, inputs)
    except UndefinedResult as error:
        return Proof("undefined", exception=_said(error), sqnr_db=-math.inf, **common)
    except NotJudged as error:
        return Proof("not_judged", exception=_said(error), sqnr_db=-math.inf, **common)
    except DelegateFault as error:
        return Proof("runtime_fault", exception=_said(error), sqnr_db=-math.inf, **common)
    except ImportError:
        raise
    except Exception as error:
        return Proof("runtime_fault", exception=_root_cause(error), sqnr_db=-math.inf, **common)
    return _compare(program, inputs, reference, outputs, target, lowered, names, common)


def _with_cells(
    proof: Proof,
    program: ExportedProgram,
    inputs: Sequence[Any],
    lowered: Lowered,
    target: Target,
    names: Sequence[str],
) -> Proof:
    """The proof with its cells; as it is if there are no results to compare, or none of the reference's shapes."""
    if [item.shape for item in proof.outputs] != [item.shape for item in proof.reference] or not proof.outputs:
        return proof
    from fuseguard.executorch.lockstep.cells import cells_of

    try:
        return replace(proof, cells=cells_of(program, inputs, lowered.program, target, names))
    except RuntimeError:  # an operator that mixes dtypes or knows no float64
        return proof


def _of_all(proofs: Sequence[Proof]) -> Proof:
    """What the calls of one program showed together: the last one's proof, with the figures of all."""
    last = proofs[-1]
    about = len(proofs)
    if last.ok:
        worst = "bounded" if any(proof.outcome == "bounded" for proof in proofs) else "exact"
        about = next((call for call, proof in enumerate(proofs, 1) if proof.outcome == worst and proof.differing), 0)
    steps = [proof.max_error_steps for proof in proofs if proof.max_error_steps is not None]
    return replace(
        last,
        outcome=proofs[about - 1].outcome,
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
        explained_by=of_all_calls(proof.explained_by for proof in proofs) if last.ok else (),
    )


def _compare(
    program: ExportedProgram,
    inputs: Sequence[Any],
    reference: tuple[torch.Tensor, ...],
    outputs: tuple[torch.Tensor, ...],
    target: Target,
    lowered: Lowered,
    names: Sequence[str],
    common: dict[str, Any],
) -> Proof:
    """``names``: what the results are called."""
    if len(outputs) != len(reference) or any(a.shape != b.shape for a, b in zip(outputs, reference, strict=True)):
        text = f"{[tuple(o.shape) for o in outputs]} instead of {[tuple(r.shape) for r in reference]}"
        return Proof("wrong", exception=f"output shapes differ: {text}", sqnr_db=-math.inf, outputs=outputs, **common)
    grids = output_grids(program, target)
    differing = differing_elements(outputs, reference, grids)
    mismatches = sum(int(mask.sum()) for mask in differing)
    outcome, explained = explain(outputs, reference, program, inputs, target, grids, lowered, names)
    errors = [absolute_errors(output, want) for output, want in zip(outputs, reference, strict=True)]
    worst = [float(error.max()) if error.numel() else 0.0 for error in errors]
    in_steps = [error / grid.step for error, grid in zip(worst, grids, strict=True) if grid.step is not None]
    return Proof(
        outcome,
        max_error_steps=max(in_steps) if in_steps else None,
        max_error=max(worst, default=0.0),
        sqnr_db=sqnr(reference, outputs),
        mismatches=mismatches,
        rounding_ties=mismatches if outcome == "exact" else 0,
        explained_by=explained,
        differing=tuple(name for name, mask in zip(names, differing, strict=True) if bool(mask.any())),
        outputs=outputs,
        **common,
    )


def _said(error: BaseException) -> str:
    """The text of an exception without the place in the graph that torch's interpreter adds to it."""
    return str(error).partition("\n\nWhile executing")[0]


def _root_cause(error: BaseException) -> str:
    """Type and text of the exception that started it; Arm's pass manager wraps the real one."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {_said(error)}"
