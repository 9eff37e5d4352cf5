"""``fuseguard repair``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fuseguard.cli import costs, exits, output
from fuseguard.cli.early import check_inputs
from fuseguard.cli.paths import ProgramPath
from fuseguard.cli.progress import status_line
from fuseguard.cli.quiet import quiet
from fuseguard.cli.settings import (
    INPUTS,
    installed_target,
    installed_target_option,
    ir_validity_option,
    policy_option,
    require_trust,
    selection_options,
    split,
    trust_option,
)
from fuseguard.cli.sizes import DIM_OPTION, parse_sizes
from fuseguard.engine.rounds import EndlessRepair, RepairFault
from fuseguard.target import Target

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from fuseguard.executorch.verified_repair import VerifiedRepair

EPILOG = """\b
Examples:
  fuseguard repair model.pt2 --trust --diff
  fuseguard repair model.pt2 --trust -o repaired.pt2
  fuseguard repair model.pt2 --trust -o repaired.pt2 --target vgf --no-prove
  fuseguard repair model.pt2 --trust --diff --target ethos-u85-256 --cost

Exit codes: 0 nothing is left to repair, and what was proved is right; 1 something
remains (the file is still written); 2 usage, missing packages or internal error;
3 the file could not be read, or --trust is missing; 4 the repairs of two rules
undo one another. With 2, 3 and 4, nothing is written."""

_NOTHING = "Nothing was written."
_AS_IT_WAS = "Everything is as it was, and nothing half-written is left. Fix that, or name another place with -o."


@click.command("repair", epilog=EPILOG, short_help="Rewrite a program so that the backend lowers it correctly.")
@click.argument("file", type=ProgramPath())
@click.option("-o", "--output", "out", type=click.Path(path_type=Path), help="Where to write the repaired program.")
@click.option("--force", is_flag=True, help="Overwrite an existing output file.")
@click.option("--diff", is_flag=True, help="Show what changes, node by node, before anything is written.")
@installed_target_option
@policy_option("Which findings to repair.")
@selection_options
@click.option(
    "--inputs",
    default="random",
    show_default=True,
    metavar=INPUTS,
    help="Inputs to compare the two programs on.",
)
@DIM_OPTION
@click.option("--prove/--no-prove", default=True, help="Lower the repaired program and have the judge run it.")
@click.option(
    "--unsafe-repairs", is_flag=True, help="Also make repairs that change the program's results; the error is measured."
)
@costs.COST_OPTION
@ir_validity_option
@trust_option
@output.format_option("text", "json")
@output.color_option
@click.pass_context
def command(
    ctx: click.Context,
    file: Path,
    out: Path | None,
    force: bool,
    diff: bool,
    target: str,
    policy: str,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    inputs: str,
    dims: tuple[str, ...],
    prove: bool,
    unsafe_repairs: bool,
    cost: bool,
    no_check_ir_validity: bool,
    trust: bool,
    output_format: str,
    color: str,
) -> None:
    """Rewrite a program so that the backend lowers it correctly, without changing its results.

    The repair inserts explicit requantizations where the quantization domain changes. It compares the eager results of
    the repaired program with the original's to the bit, on the inputs and at the ends of the code ranges. The judge
    then runs its lowering, with everything that could not be repaired kept off the accelerator.
    """
    resolved = installed_target(target, no_check_ir_validity)
    _check_paths(file, out, force, diff)
    sizes = parse_sizes(dims)
    require_trust([file], "Repairing a program", trust)
    check_inputs([inputs])
    if cost:
        costs.prepare(resolved)
    from fuseguard.report import repair as report

    options: dict[str, Any] = {
        "policy": policy, "select": split(select), "ignore": split(ignore), "unsafe": unsafe_repairs,
    }  # fmt: skip
    with quiet():
        program, verified = _repair(file, inputs, sizes, resolved, prove, options)
        if cost:
            verified = _with_costs(verified, program, str(file), resolved, options)
        before, after = (_lines(item) for item in (program, verified.program))
    if diff and output_format == "text":
        output.write_lines(report.difference(before, after, str(file)), color)
    if out is not None:
        _write(verified.program, out, force)
    written = str(out) if out is not None else ""
    if output_format == "json":
        from fuseguard.report import json

        output.write_text(json.dump(report.to_dict(verified, str(file), written)))
    else:
        output.write_lines(report.render(verified, str(file), written), color)
    ctx.exit(exits.CLEAN if verified.ok else exits.FINDINGS)


def _check_paths(file: Path, out: Path | None, force: bool, diff: bool) -> None:
    if out is None and not diff:
        raise exits.Failure("name the file to write with -o OUT, or pass --diff to see what would change.")
    if out is not None:
        output.check_new_file(out, file, force)


def _repair(
    file: Path, inputs: str, sizes: dict[str, int], target: Target, prove: bool, options: dict[str, Any]
) -> tuple[ExportedProgram, VerifiedRepair]:
    """The program, and its repair with what was tried on both."""
    try:
        from fuseguard.cli.prove_inputs import read_inputs
        from fuseguard.executorch.dynamic_sizes import with_sizes
        from fuseguard.executorch.inputs import InputsError
        from fuseguard.executorch.loading import load
        from fuseguard.executorch.verified_repair import repair_and_verify
    except ImportError as error:
        raise exits.Failure(exits.MISSING_PROVE.format(error=error)) from error
    program = load(file)
    try:
        sized = with_sizes(program, sizes) if sizes else program
    except InputsError as error:
        raise exits.Failure(f"{file}: --dim: {error}. {_NOTHING}") from error
    values = read_inputs(inputs, sized)
    try:
        return program, repair_and_verify(program, values, target, judge=prove, dims=sizes or None, **options)
    except EndlessRepair as error:
        raise exits.Endless(f"{file}: {error} {_NOTHING}") from error
    except RepairFault as error:
        raise exits.Failure(f"{file}: {error} {_NOTHING}") from error
    except ImportError as error:
        raise exits.Failure(
            exits.MISSING_PROVE.format(error=error) + "\nOr pass --no-prove to repair without the judge."
        ) from error


def _with_costs(
    verified: VerifiedRepair, program: ExportedProgram, file: str, target: Target, options: dict[str, Any]
) -> VerifiedRepair:
    """The repair, with costs among the details of what it repaired."""
    from fuseguard.executorch.costs import with_costs

    chosen = {name: value for name, value in options.items() if name in ("select", "ignore")}
    with status_line() as tell:
        found = costs.estimated(program, file, target, options["policy"], chosen, tell)
    findings = with_costs([item.finding for item in verified.applied], found)
    applied = tuple(replace(item, finding=finding) for item, finding in zip(verified.applied, findings, strict=True))
    return replace(verified, result=replace(verified.result, applied=applied))


def _lines(program: ExportedProgram) -> list[str]:
    """The graph and the control-flow bodies in it, one line a node."""
    bodies = [(path, module) for path, module in program.graph_module.named_modules() if hasattr(module, "graph")]
    return [
        f"{path}: {text}" if path else text
        for path, module in bodies
        for node in module.graph.nodes
        if (text := node.format_node()) is not None
    ]


def _write(program: ExportedProgram, out: Path, force: bool) -> None:
    """Serialize in memory first: torch aborts the process when it cannot finish the file that it writes itself."""
    from fuseguard.executorch.repairs import serialized

    with quiet():
        try:
            data = serialized(program)
        except Exception as error:  # torch raises anything for what it cannot serialize
            raise exits.Failure(f"cannot write {str(out)!r}: {type(error).__name__}: {error}.\n{_AS_IT_WAS}") from error
    if out.exists() and not force:  # made since the options were looked at
        raise exits.Failure(f"{out} exists now; pass --force to overwrite it.")
    try:
        output.write_file(out, data)
    except exits.Failure as error:
        raise exits.Failure(f"{error.message}\n{_AS_IT_WAS}") from error
