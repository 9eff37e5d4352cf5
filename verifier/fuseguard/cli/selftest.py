"""``fuseguard selftest``."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fuseguard.cli import candidates, exits, output
from fuseguard.cli.progress import long_progress
from fuseguard.cli.quiet import quiet
from fuseguard.cli.settings import ir_validity_option, selection_options, split
from fuseguard.engine.example_cases import PROFILES, Case, cases
from fuseguard.engine.registry import Registry, load_registry
from fuseguard.target import Target

if TYPE_CHECKING:
    from fuseguard.engine.example_cases import Result
    from fuseguard.executorch.recorder import Recorder

EPILOG = """\b
Examples:
  fuseguard selftest --select FU101
  fuseguard selftest --select FU --target TOSA-1.0+INT
  fuseguard selftest -j 2 --output-format json
  fuseguard selftest -j 2 --record 1.5.1.json

Exit codes: 0 every table agrees with what was seen; 1 at least one does not;
2 usage, missing packages or internal error. All rules take about a quarter of
an hour with -j 2."""

#: What judging imports. Looked for by name: importing it takes seconds, and the workers do.
_NEEDED = ("torch", "executorch", "torchao", "tosa_reference_model", "numpy")
#: ``--record`` without a file.
_SHIPPED = ""


@click.command(
    "selftest", epilog=EPILOG, short_help="Compare the effects tables of the rules with the installed backend."
)
@selection_options
@click.option(
    "--target",
    "targets",
    multiple=True,
    shell_complete=candidates.target,
    default=PROFILES,
    show_default=True,
    metavar="SPEC",
    help="TOSA specification to lower for. Repeatable. The release is the installed one.",
)
@click.option(
    "--jobs",
    "-j",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    metavar="N",
    help="Lower this many examples at once; 0 for one per processor.",
)
@click.option(
    "--record",
    is_flag=False,
    flag_value=_SHIPPED,
    metavar="[FILE]",
    help="Also repair what can be repaired, and write the results to a recording. With --select or --ignore, the cases "
    "of other rules stay in the file. Without FILE, in a checkout of fuseguard: the recording that ships with it.",
)
@ir_validity_option
@output.format_option("text", "json")
@output.color_option
@click.pass_context
def command(
    ctx: click.Context,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    targets: tuple[str, ...],
    jobs: int,
    record: str | None,
    no_check_ir_validity: bool,
    output_format: str,
    color: str,
) -> None:
    """Lower every example of every rule with the installed ExecuTorch and compare with the rules' effects tables.

    A bad example must do what the table says, a good one must be exact, and the guarded lowering must be right wherever
    the guard refuses something. Delegates run in the TOSA reference model.
    """
    registry = load_registry()
    try:
        rules = registry.select(split(select), split(ignore))
    except ValueError as error:
        raise exits.Failure(str(error)) from error
    specs = [Target.parse(target).spec for target in targets]
    if record is not None and tuple(specs) != PROFILES:
        raise click.UsageError("A recording holds both integer profiles: use --record without --target.")
    if record is not None and no_check_ir_validity:
        raise click.UsageError(
            "A recording is of ExecuTorch's default configuration: use --record without --no-check-ir-validity."
        )
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise exits.Failure(exits.MISSING_PROVE.format(error=f"No module named {missing[0]!r}"))
    release = Target.parse(specs[0]).release.public
    codes = [rule.code for rule in rules]
    recorder = _recorder(record, release, registry, codes, not (select or ignore)) if record is not None else None
    try:
        with quiet():  # the workers inherit it
            chosen = recorder.cases if recorder else cases(rules, specs)
            results = _judged(chosen, jobs, recorder, check_ir_validity=not no_check_ir_validity)
    except ImportError as error:
        raise exits.Failure(exits.MISSING_PROVE.format(error=error)) from error
    from fuseguard.report import selftest as selftest_report

    if output_format == "json":
        from fuseguard.report import json

        output.write_text(json.dump(selftest_report.to_dict(results, release)))
    else:
        output.write_lines(selftest_report.render(results, release), color)
    ctx.exit(exits.CLEAN if all(result.agrees for result in results) else exits.FINDINGS)


def _judged(chosen: Sequence[Case], jobs: int, recorder: Recorder | None, *, check_ir_validity: bool) -> list[Result]:
    from fuseguard.executorch.selftest import run_cases

    compile_config = None
    if not check_ir_validity:
        from fuseguard.executorch.lowering import unchecked_config

        compile_config = unchecked_config()
    results: list[Result] = []
    with long_progress("lowering", len(chosen)) as step:
        for result in run_cases(chosen, jobs, repairs=recorder is not None, compile_config=compile_config):
            results.append(result)
            step(str(result.case) if result.agrees else f"{result.case}, DISAGREES")
            if recorder is not None:
                recorder.add(result)
    if recorder is not None:
        recorder.finish()
    return results


def _recorder(record: str, release: str, registry: Registry, codes: Sequence[str], whole: bool) -> Recorder:
    """The file for the results. Raises Failure if it cannot be written, before an hour of lowering."""
    from fuseguard.executorch.recorder import Recorder, shipped_place
    from fuseguard.measured.recording import RecordingError

    try:
        path = shipped_place(release) if record == _SHIPPED else Path(record)
        return Recorder(path, release, registry, codes, whole=whole)
    except RecordingError as error:
        raise exits.Failure(str(error)) from error
