"""The judge: lower a program with the installed backend, run every delegate, compare with the eager program.

A right lowering of a quantized program is bit-exact against the eager Q/DQ program, so any claim about a
graph can be proved. Delegates are run in the TOSA reference model (package tosa-tools), whatever the
accelerator: for VGF and Ethos-U the same TOSA specification is lowered with the TOSA partitioner. With the engine
``vgf`` the program is lowered with the VGF partitioner, its delegates run on Vulkan, and each is compared with the
reference model. With the engine ``vela`` it is lowered with the Ethos-U partitioner, and Vela compiles its delegates;
no simulator is available from the package indexes, so what Vela makes of the TOSA is not run.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from executorch.exir import EdgeCompileConfig
from torch.export import ExportedProgram
from torch.fx.passes.operator_support import OperatorSupportBase

from fuseguard.executorch.comparing import absolute_errors, differing_elements, sqnr
from fuseguard.executorch.copying import copy_program
from fuseguard.executorch.delegates import DelegateFault, NotJudged, UndefinedResult, run_edge_program
from fuseguard.executorch.dynamic_sizes import dynamic_sizes, with_sizes
from fuseguard.executorch.engines.lowering import convert_to_vgf, lower_to_vgf
from fuseguard.executorch.engines.notes import notes_on_vgf
from fuseguard.executorch.engines.status import ENGINES, require_target
from fuseguard.executorch.explaining import explain
from fuseguard.executorch.inputs import flat_inputs, input_sets
from fuseguard.executorch.loading import program_of
from fuseguard.executorch.lockstep.cells import cells_of
from fuseguard.executorch.lockstep.deciding import decided
from fuseguard.executorch.lockstep.engine_ops import in_program
from fuseguard.executorch.lockstep.float_layers import FloatLayers
from fuseguard.executorch.lockstep.observing import Observed, observe
from fuseguard.executorch.lockstep.walking import silent
from fuseguard.executorch.lowering import Lowered, compile_spec_for, lower_to_edge, unchecked_config
from fuseguard.executorch.outputs import output_grids, run_eager
from fuseguard.executorch.partition import support_checks, target_of
from fuseguard.executorch.proof import Proof, of_calls, of_input_sets, with_differences, with_npu
from fuseguard.executorch.raised import root_cause, said, typed
from fuseguard.executorch.state import CALLS_WITH_STATE, HeldState, carry_on, functional_program, slots
from fuseguard.readers.fx import read_program
from fuseguard.target import HasTosaSpec, Target, TargetError

if TYPE_CHECKING:
    from fuseguard.executorch.all_inputs.results import AllInputs
    from fuseguard.executorch.engines.vela import VelaEngine
    from fuseguard.executorch.engines.vgf import VgfEngine


def prove(
    exported_program: ExportedProgram | str | os.PathLike[str],
    inputs: Sequence[Any],
    target: str | Target | HasTosaSpec = "TOSA-1.0+INT+FP",
    checks: Sequence[OperatorSupportBase] | Literal["guard"] | None = None,
    *,
    calls: int | None = None,
    kwargs: Mapping[str, Any] | None = None,
    dims: Mapping[str, int] | None = None,
    compile_config: EdgeCompileConfig | None = None,
    locate: bool = False,
    all_inputs: bool = False,
    float_program: ExportedProgram | str | os.PathLike[str] | None = None,
    progress: Callable[[str], None] = silent,
    engine: str = "tosa",
    vulkan_icd: str | os.PathLike[str] | None = None,
    engine_timeout: float | None = None,
    trust: bool = False,
) -> Proof:
    """Lower ``exported_program`` with the installed backend, run it on ``inputs`` and compare.

    Args:
        exported_program: a quantized program in the ATen dialect. It is copied, never changed. Or the path of a file
            with one, which needs ``trust``.
        inputs: example inputs as for ``exported_program.module()(*inputs, **kwargs)``, or all flat and in order; or
            several such sets, as a sequence of sequences. The program is lowered once for all of them.
        target: TOSA specification, accelerator, compile spec or partitioner; the release is always the installed one.
        checks: operator-support checks for the partitioner; ``"guard"`` means fuseguard's own; None lowers as
            the backend alone would.
        calls: how many times to run the program in a row, on the state that it leaves; None means three times where
            it changes a buffer or an input, else once. All calls are on the same inputs, but for those it changes.
        kwargs: the inputs that the program takes by keyword, the same for all input sets.
        dims: for a program with dynamic sizes, the sizes to judge it for, by their names in the program (``s77``) or
            by the place in an input (``x[0]``). None leaves them dynamic, which the reference model cannot run.
        compile_config: what ``to_edge_transform_and_lower`` is given. None means ExecuTorch's default, which checks
            the edge IR (``_check_ir_validity=True``), unless ``target`` is a Target that says otherwise.
        locate: judge the program piece by piece (``Proof.cells``), which says where a lowering is not exact, and derive
            the outcome from the pieces. The delegates are run no more often.
        all_inputs: prove each cell for all codes of its operands, as far as they can be enumerated
            (``Proof.all_inputs``). ``inputs`` then only say which tensor of the lowering is which value.
        float_program: the program before it was quantized, with the same inputs. Each cell then says how far its value
            is from that program's, which tells what quantizing has lost from what lowering has. It implies ``locate``.
        progress: is called with what is being done now: ``lowering``, ``cell 3 of 24``.
        engine: what runs the delegates: ``"tosa"``, the TOSA reference model, or ``"vgf"``, the VGF on Vulkan, which
            is compared with the reference model delegate by delegate. For ``"vgf"``, the target is ``vgf`` or a TOSA
            specification, and the program is lowered with VgfPartitioner. For ``"vela"``, the target is an Ethos-U: the
            program is lowered with EthosUPartitioner, Vela compiles the delegates (``Proof.npu``), and they run in the
            reference model.
        vulkan_icd: for ``"vgf"``, the JSON manifest of the Vulkan driver; None means lavapipe.
        engine_timeout: for ``"vgf"``, how many seconds one run of a delegate may take; for ``"vela"``, how many it may
            take to compile one. None means 300.
        trust: the files are trusted. ``torch.export.load`` runs code from them.

    Raises:
        UnreadableInput: the file cannot be loaded, or (UntrustedFile) ``trust`` is missing.
        TargetError: the target is not valid.
        EngineUnavailable: a RuntimeError; the engine cannot run here, and the text says what is missing.
        ValueError: ``calls`` is less than 1, ``engine`` is unknown, or ``checks`` is a string other than ``"guard"``.
        InputsError: a ValueError; the inputs or ``dims`` do not fit the program, or the inputs not the float program.
        TypeError: ``exported_program`` is something else.
        ImportError: executorch or tosa-tools is not installed.
        Exception: whatever the eager program itself raises on ``inputs``.
    """
    if calls is not None and calls < 1:
        raise ValueError(f"calls is {calls}, and a program that is never run proves nothing")
    if isinstance(checks, str) and checks != "guard":
        raise ValueError(f"checks is {checks!r}; valid are 'guard', None and a list of operator-support checks")
    judging = _engine(engine, vulkan_icd, engine_timeout)
    vela = _vela(engine, engine_timeout)
    npu = None
    exported_program = program_of(exported_program, "prove", trust)
    if dims is not None:
        exported_program = with_sizes(exported_program, dims)
    sets = input_sets(exported_program, inputs, kwargs)
    floats = None if float_program is None else program_of(float_program, "prove", trust)
    if floats is not None:
        for values in sets:
            flat_inputs(floats, values)
    resolved = target_of(target, None, compile_config)
    require_target(engine, resolved)
    if not resolved.ir_validity and compile_config is None:
        compile_config = unchecked_config()
    spec = compile_spec_for(resolved)
    if checks == "guard":
        checks = support_checks(resolved)
    common: dict[str, Any] = {
        "target": str(resolved),
        "release": str(resolved.release),
        "guarded": bool(checks),
        "engine": engine,
    }
    eager = copy_program(exported_program, share_weights=True)
    progress("running the eager program")
    reference = run_eager(eager, sets[0])
    progress("lowering, guarded" if checks else "lowering")
    try:
        if vela is not None:
            lowered, npu = vela.lower(copy_program(exported_program), resolved, checks, compile_config)
        elif judging is None:
            lowered = lower_to_edge(copy_program(exported_program), spec, checks, compile_config)
        else:
            lowered = lower_to_vgf(copy_program(exported_program), resolved, checks, compile_config)
    except (ImportError, TargetError):
        raise  # what is missing is the environment's, and no verdict on the program
    except Exception as error:  # the backend raises anything; that it does is the verdict
        common |= {"reference": reference, "elements": sum(tensor.numel() for tensor in reference)}
        return Proof("crash", exception=typed(root_cause(error)), sqnr_db=-math.inf, calls=0, **common)
    common |= {
        "cpu_ops": lowered.cpu_ops,
        "delegated_ops": len(lowered.delegated),
        "delegated": lowered.delegated,
        "delegates": lowered.delegates,
    }
    if judging is None and resolved.accelerator == "vgf":
        common["notes"] = tuple(notes_on_vgf(lowered.program))
    program = functional_program(exported_program, share_weights=True)
    judged = _Judged(eager, program, lowered, resolved, common, locate or floats is not None, progress, floats, judging)
    proof = of_input_sets([
        judged.proof(values, calls, None if number else reference) for number, values in enumerate(sets)
    ])  # fmt: skip
    if npu is not None:
        proof = with_npu(proof, npu)
    if not all_inputs or proof.outcome not in ("exact", "bounded", "wrong"):
        return proof
    return replace(proof, all_inputs=judged.for_every_input(sets[0], reference))


def _engine(name: str, icd: str | os.PathLike[str] | None, seconds: float | None) -> VgfEngine | None:
    """What runs delegates, None for the reference model. Raises ValueError, EngineUnavailable."""
    if name not in ENGINES:
        raise ValueError(f"engine is {name!r}; valid are {', '.join(map(repr, ENGINES))}")
    if name != "vgf":
        return None
    from fuseguard.executorch.engines.vgf import SECONDS, vgf_engine

    return vgf_engine(Path(icd) if icd is not None else None, seconds or SECONDS)


def _vela(name: str, seconds: float | None) -> VelaEngine | None:
    """What compiles delegates, if anything does. Raises EngineUnavailable."""
    if name != "vela":
        return None
    from fuseguard.executorch.engines.vela import SECONDS, vela_engine

    return vela_engine(seconds or SECONDS)


class _Judged:
    """A program that is lowered, to be run on one input set after another."""

    def __init__(
        self,
        eager: ExportedProgram,
        program: ExportedProgram,
        lowered: Lowered,
        target: Target,
        common: Mapping[str, Any],
        locate: bool,
        progress: Callable[[str], None],
        float_program: ExportedProgram | None,
        engine: VgfEngine | None,
    ) -> None:
        """``eager`` and ``program``: copies of one program, as it is and in functional form."""
        self.eager = eager
        self.program = program
        self.lowered = lowered
        self.target = target
        self.common = common
        self.locate = locate
        self.progress = progress
        self.float_program = float_program
        self.engine = engine
        self.state = HeldState(eager)

    def proof(
        self, inputs: tuple[Any, ...], calls: int | None, reference: tuple[torch.Tensor, ...] | None = None
    ) -> Proof:
        """The proof on one input set, from the state that the program was given with.

        ``reference``: what the eager program yields on ``inputs`` from that state; None runs it.
        """
        programs = (self.eager, self.program, self.lowered.program)
        state = slots(self.eager)
        for program in programs:
            self.state.give(program)
        calls = calls or (CALLS_WITH_STATE if state else 1)
        proofs: list[Proof] = []
        while True:
            reference = run_eager(self.eager, inputs) if reference is None else reference
            names = _names(self.eager, reference)
            elements = sum(tensor.numel() for tensor in reference)
            proofs.append(self._call(inputs, reference, names, {**self.common, "elements": elements}, not proofs))
            if len(proofs) == calls or not proofs[-1].ok:
                return of_calls(proofs)
            inputs, reference = carry_on(programs, inputs, proofs[-1].outputs), None

    def for_every_input(self, inputs: tuple[Any, ...], reference: tuple[torch.Tensor, ...]) -> AllInputs:
        """The cells for all codes, from the state that the program was given with."""
        from fuseguard.executorch.all_inputs.prover import prove_all_inputs

        for program in (self.program, self.lowered.program):
            self.state.give(program)
        names = _names(self.eager, reference)
        return prove_all_inputs(self.program, inputs, self.lowered.program, self.target, names)

    def _call(
        self,
        inputs: Sequence[Any],
        reference: tuple[torch.Tensor, ...],
        names: Sequence[str],
        common: dict[str, Any],
        first: bool,
    ) -> Proof:
        """One run of the lowered program, on the state that it holds.

        ``names``: what the results are called. ``first``: whether the state is that which the program was given with.
        """
        common = {**common, "reference": reference}
        program, target = self.program, self.target
        self.progress("running the delegates")
        observed = _observed(self.lowered, inputs) if self.locate else None
        runner = self.engine.runner(self.lowered.compiled) if self.engine is not None else None
        try:
            if runner is not None or observed is None:
                outputs = run_edge_program(self.lowered.program, inputs, runner)
            else:
                outputs = observed.outputs
        except UndefinedResult as error:
            return Proof("undefined", exception=said(error), sqnr_db=-math.inf, **common)
        except NotJudged as error:
            return Proof("not_judged", exception=said(error) + _sizes_to_give(program), sqnr_db=-math.inf, **common)
        except DelegateFault as error:
            return Proof("runtime_fault", exception=said(error), sqnr_db=-math.inf, **common)
        except ImportError:
            raise
        except Exception as error:
            return Proof("runtime_fault", exception=typed(root_cause(error)), sqnr_db=-math.inf, **common)
        self.progress("comparing the results")
        proof = _compare(program, inputs, reference, outputs, target, self.lowered, names, common)
        if observed is not None:
            proof = self._with_cells(proof, inputs, observed, names, self.float_program if first else None)
        if runner is None:
            return proof
        proof = with_differences(proof, runner.differences)
        if not self.locate or not runner.differences:
            return proof
        locations = runner.locations(partial(convert_to_vgf, target=target), self.progress)
        return replace(proof, engine_locations=in_program(locations, observed, proof.cells))

    def _with_cells(
        self,
        proof: Proof,
        inputs: Sequence[Any],
        observed: Observed,
        names: Sequence[str],
        float_program: ExportedProgram | None,
    ) -> Proof:
        """The proof with its cells; as it is if there are no results to compare, or none of the reference's shapes.

        With a note instead of cells, if an op does not run in float64.
        """
        if [item.shape for item in proof.outputs] != [item.shape for item in proof.reference] or not proof.outputs:
            return proof
        layers = None
        if float_program is not None:
            layers = FloatLayers(read_program(self.program), float_program, inputs)
        try:
            cells = cells_of(self.program, inputs, observed, self.target, names, self.progress, layers)
        except RuntimeError as error:  # an operator that mixes dtypes or knows no float64
            why = said(error).partition("\n")[0]
            note = (
                f"The program could not be judged op by op, because an op does not run in float64 ({why}). The outcome "
                "is that of the comparison end to end, and the report does not say where a fault begins."
            )
            return replace(proof, notes=(*proof.notes, note))
        return decided(proof, cells)


def _names(program: ExportedProgram, results: Sequence[torch.Tensor]) -> list[str]:
    """What the results of a program are called."""
    state = slots(program)
    return [*(f"output {number}" for number in range(len(results) - len(state))), *map(str, state)]


def _observed(lowered: Lowered, inputs: Sequence[Any]) -> Observed | None:
    """A run with all tensors visible, whose results are those of any other run; None where it fails.

    Why it fails is what a run of the delegates as they are has to say.
    """
    try:
        return observe(lowered.program, inputs)
    except ImportError:
        raise
    except Exception:  # what the reference model and torch raise
        return None


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


def _sizes_to_give(program: ExportedProgram) -> str:
    """What to do about dynamic sizes, which no reference model runs; "" if there are none."""
    sizes = dynamic_sizes(program)
    if not sizes:
        return ""
    name = next(iter(sizes))
    listed = "; ".join(map(str, sizes.values()))
    return f" Give the sizes to judge it for: --dim {name}=N, or prove(..., dims={{{name!r}: N}}). They are {listed}."
