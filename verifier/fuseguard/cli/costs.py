"""``--cost``: what findings cost on an Ethos-U, by Vela's estimate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fuseguard.cli import exits, output
from fuseguard.cli.progress import status_line
from fuseguard.gate.gate import Gate
from fuseguard.gate.result import CheckResult, FileResult
from fuseguard.readers.errors import UnreadableInput
from fuseguard.target import Target, TargetError

if TYPE_CHECKING:
    from torch.export import ExportedProgram

COST_OPTION = click.option(
    "--cost",
    is_flag=True,
    help="Add to each finding that has a repair how many cycles its refusal costs on the target, an Ethos-U, compared "
    "with the repair. Lowers the program once a finding, and needs --trust and Vela.",
)


def prepare(target: Target) -> None:
    """Raises Failure or TargetError: there can be no costs for this target, or without what is missing here."""
    from fuseguard.executorch.engines.status import EngineUnavailable, require, require_target

    require_target("vela", target)
    installed = Target.parse("TOSA-1.0+INT").release
    if target.release != installed:
        raise exits.Failure(
            f"--cost lowers the program with the installed ExecuTorch, which is {installed}, and not with "
            f"{target.release}. Leave out --executorch, or run it where that release is installed."
        )
    try:
        require("vela")
    except EngineUnavailable as error:
        raise exits.Failure(f"--cost needs Vela's estimate, and {error}") from error


def prepare_check(gate: Gate, files: tuple[Path, ...], trust: bool) -> None:
    """The same for a check, whose files have to be trusted."""
    from fuseguard.readers.trust import refuse_untrusted

    if len(gate.targets) != 1:
        raise exits.Failure("--cost is for one target: give a single --target, such as ethos-u55-128.")
    prepare(gate.targets[0])
    for file in () if trust else files:
        refuse_untrusted(file, "Estimating what a finding costs", "--trust")


def of_check(result: CheckResult, gate: Gate) -> CheckResult:
    """The result, with costs among the details of its findings."""
    from fuseguard.cli.quiet import quiet

    with quiet(), status_line() as tell:
        return replace(result, files=tuple(_of_file(item, gate, tell) for item in result.files))


def _of_file(result: FileResult, gate: Gate, tell: Callable[[str], None]) -> FileResult:
    report = result.report
    if report is None or result.upkeep or not any(finding.rewrite for finding in report.findings):
        return result
    tell("loading torch and the backend")
    from fuseguard.executorch.costs import with_costs
    from fuseguard.executorch.loading import load

    try:
        program = load(Path(result.file))
    except UnreadableInput as error:
        output.warn(f"{result.file}: no costs: {error}")
        return result
    options = {"select": [rule.code for rule in gate.rules]}
    costs = estimated(program, result.file, gate.targets[0], gate.policy, options, tell)
    return replace(result, report=replace(report, findings=with_costs(report.findings, costs)))


def estimated(
    program: ExportedProgram,
    file: str,
    target: Target,
    policy: str,
    options: dict[str, Any],
    tell: Callable[[str], None],
) -> dict[Any, Any]:
    """The costs of a program's findings. What cannot be estimated is a warning."""
    from fuseguard.executorch.costs import costs_of

    try:
        return dict(costs_of(program, target, policy, **options, progress=tell))
    except (TargetError, ImportError):
        raise
    except Exception as error:  # what lowering raises
        output.warn(f"{file}: no costs: lowering it raises {type(error).__name__}: {str(error).partition(chr(10))[0]}")
        return {}
