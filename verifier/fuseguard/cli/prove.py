"""``fuseguard prove``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fuseguard.cli import cached_proof, costs, exits, output
from fuseguard.cli.doctor import ICD_OPTION
from fuseguard.cli.early import check_inputs
from fuseguard.cli.hints import Choice
from fuseguard.cli.paths import ProgramPath
from fuseguard.cli.profiling import STEPS_OPTION, Steps
from fuseguard.cli.progress import status_line
from fuseguard.cli.quiet import quiet
from fuseguard.cli.reports import parse_reports
from fuseguard.cli.settings import (
    INPUTS,
    installed_target,
    installed_target_option,
    ir_validity_option,
    policy_option,
    require_trust,
    trust_option,
)
from fuseguard.cli.sizes import DIM_OPTION, parse_sizes
from fuseguard.executorch.engines.status import ENGINES, require_target
from fuseguard.target import Target, TargetError

if TYPE_CHECKING:
    from fuseguard.executorch.guard_report import GuardReport
    from fuseguard.executorch.proof import Proof

EPILOG = """\b
Examples:
  fuseguard prove model.pt2 --trust
  fuseguard prove model.pt2 --trust --inputs batch.npz --target TOSA-1.0+INT
  fuseguard prove model.pt2 --trust --guard --output-format json
  fuseguard prove model.pt2 --trust --layers --float float.pt2
  fuseguard prove model.pt2 --trust --min-sqnr 30 --max-steps 4
  fuseguard prove model.pt2 --trust --all-inputs
  fuseguard prove model.pt2 --trust --inputs a.pt --inputs b.pt
  fuseguard prove model.pt2 --trust --dim s77=4
  fuseguard prove model.pt2 --trust --report html=proof.html
  fuseguard prove model.pt2 --trust --target vgf --engine vgf
  fuseguard prove model.pt2 --trust --target ethos-u85-256 --engine vela
  fuseguard prove model.pt2 --trust --target ethos-u85-256 --guard --cost

Exit codes: 0 exact, or bounded; 1 anything else, or a limit of yours
(--min-sqnr, --max-steps) is exceeded, or --all-inputs refutes a piece;
2 usage, missing packages or internal error; 3 an input could not be read,
or --trust is missing. --inputs reads .npz (by name or in order) and .pt (a
tensor, a sequence, or a dict by name); 'random' draws from each input's own
quantized range."""


@click.command("prove", epilog=EPILOG, short_help="Lower a program, run it and compare it with the eager program.")
@click.argument("file", type=ProgramPath())
@click.option(
    "--inputs",
    multiple=True,
    default=("random",),
    show_default=True,
    metavar=INPUTS,
    help="Inputs to run the program on. Repeat for more input sets: the program is lowered once.",
)
@DIM_OPTION
@installed_target_option
@click.option(
    "--calls",
    type=click.IntRange(min=1),
    metavar="N",
    help="Run the program N times in a row; each call starts from the state that the last one left. Default: 3 if "
    "it changes a buffer, else 1.",
)
@click.option(
    "--locate/--no-locate",
    default=True,
    show_default=True,
    help="Show where a lowering that is not exact differs: the ops, the worst element, its codes and the rule that "
    "predicts it.",
)
@click.option(
    "--all-inputs",
    is_flag=True,
    help="Prove each piece of the program for all codes that it can receive, not only for these inputs.",
)
@click.option("--layers", is_flag=True, help="A table of all quantized values with their errors.")
@click.option(
    "--float",
    "float_file",
    type=ProgramPath(),
    help="The program before quantization, with the same inputs. Adds it to the table of --layers.",
)
@click.option("--min-sqnr", type=float, metavar="DB", help="Fail below this ratio of signal to error, in dB.")
@click.option(
    "--max-steps", type=click.FloatRange(min=0), metavar="N", help="Fail if an output is off by more than N steps."
)
@click.option(
    "--engine",
    type=Choice(ENGINES),
    default="tosa",
    show_default=True,
    help="What runs the delegates: the TOSA reference model, the VGF on Vulkan, or Vela, which compiles them for "
    "Ethos-U while they run as TOSA. 'fuseguard doctor' says what works.",
)
@ICD_OPTION
@click.option(
    "--engine-timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="How long vgf may take to run a delegate once, or vela to compile it. Default: 300.",
)
@click.option("--guard", is_flag=True, help="Lower with fuseguard's checks keeping violating clusters on the CPU.")
@policy_option()
@costs.COST_OPTION
@ir_validity_option
@trust_option
@click.option("--no-cache", is_flag=True, help="Neither answer from the cache nor add to it ('fuseguard cache').")
@STEPS_OPTION
@output.format_option("text", "json")
@click.option(
    "--report",
    "report",
    multiple=True,
    metavar="html=PATH",
    help="Write the proof to a file as an HTML page too, with the error of every quantized value.",
)
@output.color_option
@click.pass_context
def command(
    ctx: click.Context,
    file: Path,
    inputs: tuple[str, ...],
    dims: tuple[str, ...],
    target: str,
    calls: int | None,
    locate: bool,
    all_inputs: bool,
    layers: bool,
    float_file: Path | None,
    min_sqnr: float | None,
    max_steps: float | None,
    engine: str,
    vulkan_icd: Path | None,
    engine_timeout: float | None,
    guard: bool,
    policy: str,
    cost: bool,
    no_check_ir_validity: bool,
    trust: bool,
    no_cache: bool,
    profile: bool,
    output_format: str,
    report: tuple[str, ...],
    color: str,
) -> None:
    """Lower a program with the installed backend, run it and compare with the eager program.

    Delegates run in the TOSA reference model, or with --engine vgf on Vulkan. A correct lowering is exact to the bit.
    With --engine vela, Vela compiles them too; no simulator of Ethos-U is available to run the result. The file must
    be trusted.
    """
    layers = layers or float_file is not None
    resolved = installed_target(target, no_check_ir_validity)
    require_target(engine, resolved)
    sizes = parse_sizes(dims)
    reports = parse_reports(report, None, _not_to_be_lost(file, inputs), formats=("html",))
    require_trust((file, *([float_file] if float_file is not None else [])), "Proving a program", trust)
    check_inputs(inputs)
    if cost and not guard:
        raise exits.Failure("--cost is about what the guard refuses: give --guard, too.")
    if cost:
        costs.prepare(resolved)
    if engine != "tosa":
        _require(engine, vulkan_icd)
    options = {
        "dims": sizes, "calls": calls, "locate": locate, "all_inputs": all_inputs, "layers": layers,
        "min_sqnr": min_sqnr, "max_steps": max_steps, "engine": engine, "guard": guard, "policy": policy, "cost": cost,
        "report": bool(reports),
    }  # fmt: skip
    key = None if no_cache else cached_proof.key_for(file, inputs, float_file, resolved, options)
    if (answer := cached_proof.load(key)) is not None:
        exits.tell(cached_proof.said(answer))
        for item in reports:
            output.write_file(item.path, answer.page)
        if output_format == "json":
            output.write_text(cached_proof.document_of(answer))
        else:
            output.write_lines(cached_proof.lines_of(answer), color)
        ctx.exit(answer.exit_code)
    running: dict[str, Any] = {"engine": engine, "vulkan_icd": vulkan_icd, "engine_timeout": engine_timeout}
    with quiet(), status_line() as shown:
        steps = Steps(shown)
        refused, where = policy if guard else None, locate or layers or bool(reports)
        proof, guarded = _prove(
            file, inputs, sizes, resolved, calls, refused, where, all_inputs, float_file, steps, running, cost
        )
    if profile:
        steps.tell()
    exceeded = proof.exceeded(min_sqnr, max_steps)
    from fuseguard.report import proof as proof_report

    for item in reports:
        from fuseguard.report import proof_html

        output.write_file(item.path, proof_html.render(proof, str(file), inputs, guarded, exceeded))
    if output_format == "json":
        from fuseguard.report import json

        output.write_text(json.dump(proof_report.to_dict(proof, str(file), inputs, guarded, exceeded)))
    else:
        output.write_lines(proof_report.render(proof, str(file), inputs, guarded, exceeded, layers), color)
    refuted = proof.all_inputs is not None and proof.all_inputs.refuted
    code = exits.CLEAN if proof.ok and not exceeded and not refuted else exits.FINDINGS
    cached_proof.save(key, code, proof, file, inputs, guarded, exceeded, layers, bool(reports))
    ctx.exit(code)


def _not_to_be_lost(file: Path, inputs: Sequence[str]) -> dict[Path, str]:
    """Identity of a file -> what it is: those that a run reads, and that no report of it may overwrite."""
    read = {output.identity(Path(text)): "what the program is run on" for text in inputs}
    return {**read, output.identity(file): "the program"}


def _require(engine: str, icd: Path | None) -> None:
    """Raises Failure: the engine does not work here. Needs no torch, so that it is told at once."""
    from fuseguard.executorch.engines.status import EngineUnavailable, require

    try:
        require(engine, icd)
    except EngineUnavailable as error:
        raise exits.Failure(f"{error}\n'fuseguard doctor' says what works here.") from error


def _prove(
    file: Path,
    inputs: Sequence[str],
    sizes: Mapping[str, int],
    target: Target,
    calls: int | None,
    policy: str | None,
    locate: bool,
    all_inputs: bool,
    float_file: Path | None,
    tell: Callable[[str], None],
    running: Mapping[str, Any],
    cost: bool,
) -> tuple[Proof, GuardReport | None]:
    tell("loading torch and the backend")
    try:
        from fuseguard.cli.prove_inputs import read_inputs
        from fuseguard.executorch.dynamic_sizes import with_sizes
        from fuseguard.executorch.inputs import InputsError
        from fuseguard.executorch.judge import prove
        from fuseguard.executorch.loading import load
        from fuseguard.executorch.partition import report_of, support_checks
    except ImportError as error:
        raise exits.Failure(exits.MISSING_PROVE.format(error=error)) from error
    tell("loading the program")
    program = load(file)
    float_program = load(float_file) if float_file is not None else None
    if sizes:
        try:
            program = with_sizes(program, sizes)
            float_program = with_sizes(float_program, sizes) if float_program is not None else None
        except InputsError as error:
            raise exits.Failure(f"{file}: --dim: {error}.") from error
    values = [read_inputs(text, program) for text in inputs]
    checks = support_checks(target, policy) if policy is not None else None
    try:
        proof = prove(
            program,
            values,
            target,
            checks,
            calls=calls,
            locate=locate,
            all_inputs=all_inputs,
            float_program=float_program,
            progress=tell,
            **running,
        )
    except TargetError:
        raise
    except InputsError as error:  # read_inputs has seen that they fit the quantized program
        raise exits.Failure(f"--float {float_file}: {error}.") from error
    except ImportError as error:
        raise exits.Failure(exits.MISSING_PROVE.format(error=error)) from error
    except Exception as error:
        _trace(error)
        raise exits.Failure(
            f"{file}: the eager program could not be run on these inputs, or the comparison failed: "
            f"{type(error).__name__}: {error}\nFUSEGUARD_DEBUG=1 shows the traceback."
        ) from error
    guarded = report_of(checks) if checks else None
    if guarded is not None and cost:
        guarded.costs = costs.estimated(program, str(file), target, guarded.policy, {}, tell)
    return proof, guarded


def _trace(error: BaseException) -> None:
    if exits.debugging():
        exits.internal_error(error)
