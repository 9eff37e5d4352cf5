"""``fuseguard selftest``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fuseguard.cli import candidates, exits, output
from fuseguard.cli.progress import long_progress
from fuseguard.cli.quiet import quiet
from fuseguard.cli.settings import selection_options, split
from fuseguard.engine.registry import load_registry
from fuseguard.target import Target

if TYPE_CHECKING:
    from fuseguard.executorch.selftest import Result

EPILOG = """\b
Examples:
  fuseguard selftest --select FU101
  fuseguard selftest --select FU --target TOSA-1.0+INT
  fuseguard selftest -j 2 --output-format json

\b
Exit codes: 0 every table agrees with what was seen; 1 at least one does not;
2 usage, missing packages or internal error. All rules take about a quarter of
an hour with -j 2."""


@click.command("selftest", epilog=EPILOG, short_help="Compare what the rules say with what the installed backend does.")
@selection_options
@click.option(
    "--target",
    "targets",
    multiple=True,
    shell_complete=candidates.target,
    default=("TOSA-1.0+INT", "TOSA-1.0+INT+FP"),
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
@output.format_option("text", "json")
@output.color_option
@click.pass_context
def command(
    ctx: click.Context,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    targets: tuple[str, ...],
    jobs: int,
    output_format: str,
    color: str,
) -> None:
    """Lower every example of every rule with the installed ExecuTorch and compare with the rules' effects tables.

    A bad example must do what the table says, a good one must be exact, and what the guard refuses must be right
    with it. Delegates run in the TOSA reference model.
    """
    try:
        rules = load_registry().select(split(select), split(ignore))
    except ValueError as error:
        raise exits.Failure(str(error)) from error
    specs = [Target.parse(target).spec for target in targets]
    results: list[Result] = []
    with quiet():
        try:
            from fuseguard.executorch.selftest import cases, run_cases
        except ImportError as error:
            raise exits.Failure(exits.MISSING_PROVE.format(error=error)) from error
        chosen = cases(rules, specs)
        with long_progress("lowering", len(chosen)) as step:
            for result in run_cases(chosen, jobs):
                results.append(result)
                step(str(result.case) if result.agrees else f"{result.case}, DISAGREES")
    release = str(Target.parse(specs[0]).release)
    from fuseguard.report import selftest as selftest_report

    if output_format == "json":
        from fuseguard.report import json

        output.write_text(json.dump(selftest_report.to_dict(results, release)))
    else:
        output.write_lines(selftest_report.render(results, release), color)
    ctx.exit(exits.CLEAN if all(result.agrees for result in results) else exits.FINDINGS)
