"""What findings cost on an Ethos-U, by Vela's own estimate: refused by the guard compared with repaired."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from executorch.exir import EdgeCompileConfig
from torch.export import ExportedProgram
from torch.fx.passes.operator_support import OperatorSupportBase

from fuseguard.engine.finding import COST, Finding
from fuseguard.executorch.copying import copy_program
from fuseguard.executorch.engines.npu import NpuReport
from fuseguard.executorch.engines.status import require, require_target
from fuseguard.executorch.engines.vela import vela_engine
from fuseguard.executorch.lockstep.walking import silent
from fuseguard.executorch.lowering import unchecked_config
from fuseguard.executorch.partition import support_checks, target_of
from fuseguard.executorch.repairs import repair

#: What tells a finding from the others of a program: code, control-flow body and nodes.
Key: TypeAlias = tuple[str, str, tuple[str, ...]]


@dataclass(frozen=True)
class Estimate:
    """A lowering by Vela's estimate. ``cpu_ops`` counts the ops outside of the delegates, Q and DQ left out."""

    npu: NpuReport
    cpu_ops: int

    @property
    def fault(self) -> str:
        """What Vela says about the first delegate that it does not compile, "" if it compiles all."""
        return next((item.reason for item in self.npu.faults), "")


@dataclass(frozen=True)
class Cost:
    """One finding refused by the guard, compared with the same finding repaired; all others are repaired in both."""

    refused: Estimate
    repaired: Estimate

    @property
    def cycles(self) -> int | None:
        """How many cycles more a refusal takes than the repair; less than 0 if it takes fewer.

        The ops that it leaves on the CPU take time as well, which Vela does not know. None: Vela compiles only one.
        """
        if self.refused.fault or self.repaired.fault:
            return None
        return self.refused.npu.cycles - self.repaired.npu.cycles

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form. Cycles are null where Vela does not compile the program."""
        both = {"refused_cycles": self.refused, "repaired_cycles": self.repaired}
        return {
            "cycles": self.cycles,
            **{key: None if item.fault else item.npu.cycles for key, item in both.items()},
            "summary": str(self),
        }

    def __str__(self) -> str:
        """In words, beginning with the number."""
        for name, estimate in (("refused", self.refused), ("repaired", self.repaired)):
            if estimate.fault:
                return f"unknown: {name}, Vela does not compile the program: {estimate.fault}"
        more = self.refused.cpu_ops - self.repaired.cpu_ops
        ops = f", and {more} more op{'' if more == 1 else 's'} on the CPU" if more > 0 else ""
        return (
            f"{self.cycles:+,} cycles on {self.refused.npu.accelerator} if it is refused instead of repaired "
            f"({self.refused.npu.cycles:,} instead of {self.repaired.npu.cycles:,}{ops})"
        )


def estimate(
    program: ExportedProgram,
    target: Any,
    checks: Sequence[OperatorSupportBase] | None = None,
    compile_config: EdgeCompileConfig | None = None,
) -> Estimate:
    """Lower a copy of ``program`` for an Ethos-U and compile it with Vela.

    Raises EngineUnavailable: Vela is not installed. TargetError: ``target`` is not an Ethos-U. And what the backend
    raises before Vela is called.
    """
    resolved = target_of(target, None, compile_config)
    require_target("vela", resolved)
    if not resolved.ir_validity and compile_config is None:
        compile_config = unchecked_config()
    copied = copy_program(program, share_weights=True)
    lowered, npu = vela_engine().lower(copied, resolved, checks, compile_config)
    return Estimate(npu, sum("quantize_per" not in name for name in lowered.cpu_ops))


def costs_of(
    program: ExportedProgram,
    target: Any,
    policy: str = "consistent",
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    compile_config: EdgeCompileConfig | None = None,
    progress: Callable[[str], None] = silent,
) -> dict[Key, Cost]:
    """What each finding costs that :func:`fuseguard.executorch.repair` repairs. The program is not changed.

    The program is lowered once for each of them, and once more. The arguments are those of ``repair``.

    Raises what :func:`estimate` and ``repair`` raise.
    """
    options: dict[str, Any] = {"select": select, "ignore": ignore, "compile_config": compile_config}
    resolved = target_of(target, None, compile_config)
    require_target("vela", resolved)
    require("vela")  # before anything is repaired

    def lowered(left: Key | None) -> tuple[list[Key], Estimate]:
        """The repaired program, with the finding ``left`` and all that cannot be repaired refused."""
        repaired = repair(program, resolved, policy, **options, skip=lambda finding: key(finding) == left)
        checks = support_checks(resolved, policy, **options) if repaired.remaining else None
        keys = [key(item.finding) for item in repaired.applied]
        return keys, estimate(repaired.program, resolved, checks, compile_config)

    progress("estimating the repaired program")
    keys, best = lowered(None)
    costs = {}
    for number, one in enumerate(keys, 1):
        progress(f"estimating finding {number} of {len(keys)}")
        costs[one] = Cost(lowered(one)[1], best)
    return costs


def key(finding: Finding) -> Key:
    """What tells the finding from others of its program."""
    return finding.code, finding.graph, finding.nodes


def with_costs(findings: Iterable[Finding], costs: dict[Key, Cost]) -> tuple[Finding, ...]:
    """The findings, each with its cost among its details if it has one."""
    return tuple(
        replace(finding, details=(*finding.details, (COST, str(costs[key(finding)]))))
        if key(finding) in costs
        else finding
        for finding in findings
    )
