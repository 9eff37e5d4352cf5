"""``fuseguard check``."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Any

import click

from fuseguard.cli import costs, exits, output, settings
from fuseguard.cli.paths import ProgramPath
from fuseguard.cli.profiling import PROFILE_OPTION, profiled
from fuseguard.cli.progress import progress
from fuseguard.cli.reports import check_formats, parse_reports, report_options, write_reports
from fuseguard.engine.registry import load_registry
from fuseguard.gate.files import check_with
from fuseguard.report.options import Options

EPILOG = """\b
Examples:
  fuseguard check model.pt2
  fuseguard check model.pt2 --target TOSA-1.0+INT --executorch 1.4.1
  fuseguard check model.pt2 --target all --executorch 1.4.1,1.5.1
  fuseguard check model.pt2 --baseline fuseguard-baseline.json
  fuseguard check model.pt2 --select FU --ignore FU103 --fail-on note
  fuseguard check a.pt2 b.pt2 --output-format json --output-file report.json
  fuseguard check *.pt2 -j 0 --statistics
  fuseguard check model.etrecord --require-quantized --method forward
  fuseguard check model.pt2 --report sarif=a.sarif --report junit=a.xml
  fuseguard check model.pt2 --output-format concise --source-root src
  fuseguard check model.pt2 --report html=report.html
  fuseguard check model.pt2 --target ethos-u85-256 --cost --trust

Exit codes: 0 nothing at or above --fail-on; 1 findings; 2 usage, target, rule
pack or internal error, or a rule failed; 3 a file could not be read or was
refused (the others are still checked). If several apply, it is the largest."""


@click.command("check", epilog=EPILOG, short_help="Check quantized programs.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=ProgramPath())
@settings.gate_options
@settings.baseline_options
@report_options
@settings.fail_on_option
@settings.program_options
@click.option("--exit-zero", is_flag=True, help="Exit with 0 instead of 1. Errors (2, 3) still count.")
@settings.jobs_option
@costs.COST_OPTION
@settings.trust_option
@click.option("--time", is_flag=True, help="Print to stderr how long each rule took.")
@PROFILE_OPTION
@click.option("--quiet", "-q", is_flag=True, help="Print findings and errors, but no notices or summary.")
@click.option(
    "--verbose", "-v", is_flag=True, help="Print every finding; otherwise, those with one cause share an entry (text)."
)
@output.color_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    files: tuple[Path, ...],
    output_format: str,
    output_file: Path | None,
    report: tuple[str, ...],
    source_root: Path | None,
    statistics: bool,
    exit_zero: bool,
    jobs: int,
    cost: bool,
    trust: bool,
    time: bool,
    profile: bool,
    quiet: bool,
    verbose: bool,
    color: str,
    **options: Any,
) -> None:
    """Check quantized programs (.pt2 files and ETRecords, or directories of them) for one target or several.

    Nothing in a file is run, and torch is not needed. Options that you omit come from the configuration:
    [tool.fuseguard] in the nearest pyproject.toml, or a fuseguard.toml.
    """
    files = settings.programs(files)
    gate = settings.resolve(load_registry(), **options)
    any_file = output_file is not None or bool(report)
    kept = settings.not_to_be_lost(files, gate, options["config"]) if any_file else {}
    reports = parse_reports(report, output_file, kept)
    check_formats((output_format, *(item.format for item in reports)), files)
    if cost:
        costs.prepare_check(gate, files, trust)
    started = perf_counter()
    with progress(len(set(files)), quiet) as step, profiled(profile, gate.rules):
        result = check_with(gate, files, 1 if profile else jobs, step, exit_zero=exit_zero)
    spent = perf_counter() - started
    if cost:
        result = costs.of_check(result, gate)
    rules = {rule.code: rule for rule in gate.rules}
    written = write_reports(
        result,
        Options(source_root or Path.cwd(), rules, quiet, statistics, output.warn, verbose or cost),
        output_format=output_format,
        output_file=output_file,
        reports=reports,
        color=color,
    )
    if time:
        from fuseguard.report.lines import plain
        from fuseguard.report.statistics import time_lines

        exits.tell(plain(time_lines(result, rules, spent)).rstrip())
    ctx.exit(max(result.exit_code, written))
