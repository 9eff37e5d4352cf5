"""A verified repair: runs and compares both programs, and judges the lowering of the new one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from executorch.exir import EdgeCompileConfig
from torch.export import ExportedProgram

from fuseguard.engine.finding import Finding, Severity
from fuseguard.engine.rounds import Repair, RepairFault
from fuseguard.engine.shown import Printed, data_of, page_of
from fuseguard.executorch.extremes import extreme_inputs
from fuseguard.executorch.inputs import flat_inputs
from fuseguard.executorch.judge import prove
from fuseguard.executorch.loading import program_of
from fuseguard.executorch.outputs import largest_difference
from fuseguard.executorch.partition import support_checks, target_of
from fuseguard.executorch.proof import Proof
from fuseguard.executorch.repairs import RepairResult, repair


class InexactRepair(RepairFault):
    """Every repair made should be exact, but the repaired program's results differ from the original's.

    Attributes:
        difference: the largest difference, in real units.
        rules: the codes of the rules whose repairs were made.
    """

    def __init__(self, difference: float, rules: Sequence[str]) -> None:
        self.difference = difference
        self.rules = tuple(rules)
        super().__init__(
            f"the repaired program's results differ from the original's by {difference:g}, but every repair in it "
            f"should be exact. This is a bug in the repair of {' or '.join(self.rules)}, please report it."
        )

    def __reduce__(self) -> tuple[type[InexactRepair], tuple[float, tuple[str, ...]]]:
        return type(self), (self.difference, self.rules)


@dataclass(frozen=True, repr=False)
class VerifiedRepair(Printed):
    """A repair and what was tried on it.

    Attributes:
        result: the repair.
        eager_error: the largest difference between the eager outputs of the repaired program and of the original, in
            real units; 0.0 means equal to the bit.
        runs: the number of input sets that ``eager_error`` is about.
        proof: the judge's proof of the repaired program's lowering, in which the guard refuses what remains. None if
            the judge was not asked.
    """

    result: RepairResult
    eager_error: float
    runs: int
    proof: Proof | None = None

    @property
    def program(self) -> ExportedProgram:
        """The repaired program."""
        return self.result.program

    @property
    def applied(self) -> tuple[Repair, ...]:
        return self.result.applied

    @property
    def remaining(self) -> tuple[Finding, ...]:
        return self.result.remaining

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data, with the keys of ``fuseguard repair --output-format json``."""
        return data_of("repair", "to_dict", self, "", "")

    def _repr_html_(self) -> str:
        """What a notebook shows: that of the repair, what was tried on it, and the page of the proof."""
        return page_of("verified_repair_html", self)

    def __str__(self) -> str:
        """In short: the repairs, the eager comparison and the judge's verdict."""
        equal = "equal to the bit" if self.eager_error == 0 else f"off by {self.eager_error:.6g} at most"
        judged = self.proof.outcome if self.proof is not None else "not asked"
        return f"{self.result}\n  eager results: {equal}, on {self.runs} sets of inputs; judge: {judged}"

    @property
    def ok(self) -> bool:
        """Whether nothing is left that breaks or is refused, and the judge, if asked, calls the lowering right."""
        left = any(finding.refuse or finding.severity is Severity.ERROR for finding in self.remaining)
        return not left and (self.proof is None or self.proof.ok)


def repair_and_verify(
    exported_program: ExportedProgram | str | os.PathLike[str],
    inputs: Sequence[Any],
    target: Any = "TOSA-1.0+INT+FP",
    policy: str = "consistent",
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    unsafe: bool = False,
    judge: bool = True,
    dims: Mapping[str, int] | None = None,
    compile_config: EdgeCompileConfig | None = None,
    trust: bool = False,
) -> VerifiedRepair:
    """Repair ``exported_program``, compare its results with the original's, and judge its lowering.

    The eager results are compared on ``inputs`` and on inputs that hit the ends of every code range. What remains to be
    refused is the guard's: the judge lowers as :func:`fuseguard.executorch.lower` does.

    Args:
        exported_program: a quantized program in the ATen dialect. It is copied, never changed. Or the path of a file
            with one, which needs ``trust``.
        inputs: example inputs as for ``exported_program.module()(*inputs)``.
        target: TOSA specification, accelerator, compile spec or partitioner; the release is the installed one.
        policy: as for :func:`fuseguard.executorch.repair`.
        select: as for :func:`fuseguard.executorch.repair`.
        ignore: as for :func:`fuseguard.executorch.repair`.
        unsafe: as for :func:`fuseguard.executorch.repair`.
        judge: False leaves out lowering and judging, which take nearly all the time.
        dims: as for :func:`fuseguard.executorch.prove`: the sizes that a program with dynamic sizes is judged for. The
            repaired program keeps its dynamic sizes.
        compile_config: what the program is lowered with; None means ExecuTorch's default.
        trust: the file is trusted. ``torch.export.load`` runs code from it.

    Raises:
        UnreadableInput: the file cannot be loaded, or (UntrustedFile) ``trust`` is missing.
        InputsError: a ValueError; the inputs or ``dims`` do not fit the program.
        InexactRepair: every repair made should be exact, and the results differ.
        RepairFault: as for :func:`fuseguard.executorch.repair`.
        TargetError: as for :func:`fuseguard.executorch.repair`.
        ValueError: as for :func:`fuseguard.executorch.repair`.
        ImportError: tosa-tools is not installed, which only the judge needs.
        Exception: whatever the program itself raises on ``inputs``.
    """
    exported_program = program_of(exported_program, "repair_and_verify", trust)
    inputs = flat_inputs(exported_program, inputs)
    resolved = target_of(target, None, compile_config)
    options: dict[str, Any] = {"policy": policy, "select": select, "ignore": ignore}
    result = repair(exported_program, resolved, unsafe=unsafe, **options)
    runs = (tuple(inputs), extreme_inputs(exported_program, inputs))
    difference = max(largest_difference(exported_program, result.program, run) for run in runs)
    if result.exact and difference:
        raise InexactRepair(difference, sorted({item.finding.code for item in result.applied}))
    proof = None
    if judge:
        guarded = any(finding.refuse for finding in result.remaining)
        checks = support_checks(resolved, **options) if guarded else None
        proof = prove(result.program, inputs, resolved, checks, dims=dims, compile_config=compile_config)
    return VerifiedRepair(result, difference, len(runs), proof)
