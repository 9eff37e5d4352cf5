"""Repair: rewrites a quantized program so that the backend lowers it correctly, without changing its results."""

from __future__ import annotations

import copy
import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from executorch.exir import EdgeCompileConfig, EdgeProgramManager, to_edge_transform_and_lower
from torch.export import ExportedProgram

from fuseguard.engine.finding import Finding
from fuseguard.engine.registry import load_registry
from fuseguard.engine.rounds import Repair, RepairFault, repair_in_rounds
from fuseguard.engine.run import Report, run
from fuseguard.engine.shown import Printed, counts_of, data_of, lines_of, one_line, page_of
from fuseguard.executorch.copying import copy_program, exported_program_of
from fuseguard.executorch.loading import program_of
from fuseguard.executorch.locking import one_at_a_time
from fuseguard.executorch.noise import quiet_copies, quiet_imports
from fuseguard.executorch.partition import guard, target_of
from fuseguard.executorch.partitioners import is_partitioner, partitioner_of
from fuseguard.executorch.rewriting import apply_rewrites
from fuseguard.executorch.state import functional_program
from fuseguard.readers.fx import read_program


@dataclass(frozen=True, repr=False)
class RepairResult(Printed):
    """A repaired program, and what was repaired in it.

    Attributes:
        program: a new program, or a plain copy if nothing was repaired. Weights that no run changes are shared with the
            original.
        applied: the repairs in the order made.
        remaining: what the rules still find in the new program.
        target: what the program was repaired for.
        before: the report of the program as it was, with its graph, for drawings.
    """

    program: ExportedProgram
    applied: tuple[Repair, ...]
    remaining: tuple[Finding, ...]
    target: str
    before: Report | None = field(default=None, repr=False, compare=False)

    @property
    def exact(self) -> bool:
        """Whether the repaired program computes what the original does, to the bit."""
        return all(repair.exact for repair in self.applied)

    def _repr_html_(self) -> str:
        """What a notebook shows: a table of the repairs, and the HTML report with each island before and after."""
        return page_of("repair_html", self)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data: target, whether it is exact, the repairs made and the findings that remain."""
        return data_of("repair", "result_dict", self)

    def __str__(self) -> str:
        """In short: how many repairs of which rules, and what remains."""
        made: dict[str, int] = {}
        for repair in self.applied:
            made[repair.finding.code] = made.get(repair.finding.code, 0) + 1
        listed = ", ".join(f"{code} x{count}" if count > 1 else code for code, count in made.items())
        kind = "bit-exact" if self.exact else "not all of them bit-exact"
        count = f"{len(self.applied)} repair{'' if len(self.applied) == 1 else 's'}"
        lines = [one_line(f"{count} for {self.target}" + (f", {kind}: {listed}" if made else ""))]
        if self.remaining:
            lines.append(f"  remaining: {counts_of(self.remaining)}")
        return "\n".join([*lines, *lines_of(self.remaining)])


@one_at_a_time
def repair(
    exported_program: ExportedProgram | str | os.PathLike[str],
    target: Any = "TOSA-1.0+INT+FP",
    policy: str = "consistent",
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    executorch: str | None = None,
    unsafe: bool = False,
    compile_config: EdgeCompileConfig | None = None,
    skip: Callable[[Finding], bool] | None = None,
    trust: bool = False,
) -> RepairResult:
    """Rewrite ``exported_program`` until no rule finds anything more that it can repair.

    Calls from several threads wait for one another.

    Args:
        exported_program: a quantized program in the ATen dialect. It is copied, never changed. If it writes to a buffer
            or an input in place, the repaired program is the functionalized one (``run_decompositions({})``). Or the
            path of a file with one, which needs ``trust``.
        target: TOSA specification, accelerator, compile spec or partitioner.
        policy: findings that the guard would refuse under it are repaired: ``consistent`` all that breaks on any
            target, ``measured`` what breaks on this one, ``bit-exact`` also what deviates within a bound.
        select: the rules to use, as codes, prefixes or names; empty means all.
        ignore: the rules to leave out, likewise.
        executorch: the release whose effects apply; None means the installed one.
        unsafe: also make rewrites that change the program's results within its quantization error.
        compile_config: what the program will be lowered with; None means ExecuTorch's default.
        skip: whether to leave a finding as it is. It is then among ``remaining``.
        trust: the file is trusted. ``torch.export.load`` runs code from it.

    Returns:
        The repaired program, the repairs made and what remains.

    Raises:
        UnreadableInput: the file cannot be loaded, or (UntrustedFile) ``trust`` is missing.
        TargetError: as for :func:`fuseguard.executorch.support_checks`.
        ValueError: as for :func:`fuseguard.executorch.support_checks`.
        TypeError: ``exported_program`` is something else.
        RepairFault: a planned repair does not fit the program, or (EndlessRepair) repairs undo one another.
    """
    exported_program = program_of(exported_program, "repair", trust)
    resolved = target_of(target, executorch, compile_config)
    rules = load_registry().select(select, ignore)
    # What an in-place op writes to a buffer is a value of the graph only once it is written down as one.
    program = functional_program(exported_program, share_weights=True)

    def rewrite(batch: Sequence[Repair]) -> None:
        for graph in {item.finding.graph: None for item in batch}:
            there = [item for item in batch if item.finding.graph == graph]
            try:
                apply_rewrites(program, [item.rewrite for item in there], graph)
            except RepairFault as fault:
                rules = " or ".join(sorted({item.finding.code for item in there}))
                raise RepairFault(
                    f"a repair does not fit the program: {fault}. This is a bug in rule {rules}, please report it."
                ) from fault

    before: list[Report] = []

    def check() -> Report:
        graph = read_program(program)
        report = run(graph, resolved, rules, policy)
        if not before:
            before.append(replace(report, graph=graph))
        return report

    applied, report = repair_in_rounds(check, rewrite, rules, unsafe, skip)
    if applied:
        program.validate()  # type: ignore[no-untyped-call]
    return RepairResult(program, applied, report.findings, str(resolved), before[0])


@one_at_a_time
def lower(
    exported_program: ExportedProgram | str | os.PathLike[str] | Mapping[str, ExportedProgram],
    partitioner: Any,
    *,
    repair: bool = True,
    policy: str = "consistent",
    compile_config: EdgeCompileConfig | None = None,
    trust: bool = False,
    **options: Any,
) -> EdgeProgramManager:
    """Repair, guard what remains, and lower: ``to_edge_transform_and_lower`` that can be trusted.

    The partitioner is guarded in place. ``partitioner.fuseguard_report`` says what it refused, and
    ``partitioner.fuseguard_repair`` what was repaired.

    A dict of programs by method name is lowered as one. Each method has a copy of the partitioner, guarded with its own
    program, and ``fuseguard_report`` and ``fuseguard_repair`` are dicts by method name.

    Args:
        exported_program: a quantized program in the ATen dialect, or a dict of them by method name. It is not changed.
            Or the path of a file with one, which needs ``trust``.
        partitioner: a TOSAPartitioner, VgfPartitioner or EthosUPartitioner. Or a compile spec or the name of a target,
            such as ``vgf``, for which a partitioner is made; pass one of your own to read its reports.
        repair: False leaves everything that is found to the guard.
        policy: as for :func:`repair`.
        compile_config: goes to ``to_edge_transform_and_lower``.
        trust: the file is trusted. ``torch.export.load`` runs code from it.
        **options: go to ``to_edge_transform_and_lower``.

    Returns:
        What ``to_edge_transform_and_lower`` returns.

    Raises:
        UnreadableInput: the file cannot be loaded, or (UntrustedFile) ``trust`` is missing.
        TypeError: ``exported_program`` is something else.
        TargetError: the partitioner is something else, or the name is not a target of the installed release.
        RepairFault: as for :func:`repair`. ``repair=False`` avoids it.
        Exception: whatever the backend raises.
    """
    if not is_partitioner(partitioner):
        partitioner = partitioner_of(partitioner)
    if isinstance(exported_program, Mapping):
        return _lower_methods(exported_program, partitioner, repair, policy, compile_config, options)
    exported_program = program_of(exported_program, "lower", trust)
    program = _prepared(exported_program, partitioner, repair, policy, compile_config)
    with quiet_copies(), quiet_imports():
        return to_edge_transform_and_lower(program, partitioner=[partitioner], compile_config=compile_config, **options)


def _lower_methods(
    methods: Mapping[str, ExportedProgram],
    partitioner: Any,
    repair: bool,
    policy: str,
    compile_config: EdgeCompileConfig | None,
    options: dict[str, Any],
) -> EdgeProgramManager:
    partitioners = {name: copy.copy(partitioner) for name in methods}
    for one in partitioners.values():
        vars(one).pop("partition", None)  # of a guarded partitioner: it would partition with the original's checks
    programs = {
        name: _prepared(program, partitioners[name], repair, policy, compile_config)
        for name, program in methods.items()
    }
    partitioner.fuseguard_report = {name: one.fuseguard_report for name, one in partitioners.items()}
    partitioner.fuseguard_repair = {name: one.fuseguard_repair for name, one in partitioners.items()}
    by_method = {name: [one] for name, one in partitioners.items()}
    with quiet_copies(), quiet_imports():
        return to_edge_transform_and_lower(programs, partitioner=by_method, compile_config=compile_config, **options)


def _prepared(
    exported_program: ExportedProgram,
    partitioner: Any,
    repair: bool,
    policy: str,
    compile_config: EdgeCompileConfig | None,
) -> ExportedProgram:
    """What is lowered with ``partitioner``, which is guarded with it: the repaired program or a copy."""
    program = copy_program(exported_program_of(exported_program, "lower"), share_weights=True)
    guard(partitioner, policy)
    partitioner.fuseguard_repair = None
    if repair:
        result = _repair(exported_program, partitioner, policy, compile_config=compile_config)
        partitioner.fuseguard_repair = result
        program = result.program
    guard(partitioner, policy, program=program, compile_config=compile_config)
    return program


def serialized(program: ExportedProgram) -> bytes:
    """What ``torch.export.save`` writes. Raises what it does."""
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()


_repair = repair  # ``lower`` has an argument of that name
