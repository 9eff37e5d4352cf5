"""``fuseguard check``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from fuseguard.cli import exits, output, settings
from fuseguard.cli.parallel import check_all
from fuseguard.cli.reports import parse_reports, report_options, write_reports
from fuseguard.engine.finding import Finding, Severity
from fuseguard.engine.gate import Gate
from fuseguard.engine.registry import load_registry
from fuseguard.engine.run import Report
from fuseguard.readers.errors import UnreadableInput
from fuseguard.report.options import Options
from fuseguard.report.result import CheckResult, FileError, FileResult

EPILOG = """\b
Examples:
  fuseguard check model.pt2
  fuseguard check model.pt2 --target TOSA-1.0+INT --executorch 1.4.1
  fuseguard check model.pt2 --target all --executorch 1.4.1,1.5.1
  fuseguard check model.pt2 --baseline fuseguard-baseline.json
  fuseguard check model.pt2 --select FU --ignore FU103 --fail-on note
  fuseguard check a.pt2 b.pt2 --output-format json --output-file report.json
  fuseguard check *.pt2 -j 0 --statistics
  fuseguard check model.pt2 --report sarif=fuseguard.sarif --report junit=fuseguard.xml
  fuseguard check model.pt2 --output-format concise --source-root src

\b
Exit codes: 0 nothing at or above --fail-on; 1 findings; 2 usage, target, rule
pack or internal error, or a rule failed; 3 a file could not be read or was
refused (the others are checked all the same). The largest that applies wins."""


@click.command("check", epilog=EPILOG, short_help="Check quantized programs.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@settings.gate_options
@settings.baseline_options
@report_options
@settings.fail_on_option
@click.option("--exit-zero", is_flag=True, help="Exit with 0 instead of 1. Errors (2, 3) still count.")
@click.option(
    "--jobs",
    "-j",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    metavar="N",
    help="Check this many files at once; 0 for one per processor. The report is the same.",
)
@click.option("--quiet", "-q", is_flag=True, help="Print findings and errors, but no notices and no summary.")
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
    quiet: bool,
    color: str,
    **options: Any,
) -> None:
    """Check quantized programs (.pt2 files) for one target or several.

    Nothing in a file is run, and torch is not needed. Options that are not given are taken from the configuration,
    [tool.fuseguard] in the nearest pyproject.toml or a fuseguard.toml.
    """
    reports = parse_reports(report, output_file)
    gate = settings.resolve(load_registry(), **options)
    checked = check_all(tuple(dict.fromkeys(files)), partial(check_file, gate=gate), jobs, quiet=quiet)
    results = (*checked, *upkeep(gate, checked))
    code = exit_code(results, gate.fail_on, exit_zero)
    rules = {rule.code: rule for rule in gate.rules}
    result = CheckResult(gate.targets[0], gate.policy, results, tuple(rules), code, gate.targets, gate.fail_on)
    written = write_reports(
        result,
        Options(source_root or Path.cwd(), rules, quiet, statistics, output.warn),
        output_format=output_format,
        output_file=output_file,
        reports=reports,
        color=color,
    )
    ctx.exit(max(code, written))


def check_file(path: Path, gate: Gate) -> FileResult:
    """Check one file. Whatever goes wrong with it becomes its result, so that the others are still checked."""
    from fuseguard import api

    name = str(path)
    try:
        graph, _ = api.read(path)
        return FileResult(name, gate.check(graph, name))
    except (UnreadableInput, OSError) as error:
        return FileResult(name, error=FileError("unreadable", _reason(error)))
    except Exception as error:
        return FileResult(name, error=FileError("internal", exits.internal_error(error)))


def upkeep(gate: Gate, checked: Sequence[FileResult]) -> tuple[FileResult, ...]:
    """The SU findings, as results of the files that they are about: a configuration, a baseline."""
    findings: dict[str, list[Finding]] = {}
    for finding in gate.upkeep({result.file: result.report for result in checked}):
        findings.setdefault(finding.file, []).append(finding)
    return tuple(
        FileResult(file, Report(tuple(found), gate.targets[0], gate.policy, file, targets=gate.targets), upkeep=True)
        for file, found in findings.items()
    )


def _reason(error: UnreadableInput | OSError) -> str:
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or error}"
    return str(error)


def exit_code(results: Sequence[FileResult], fail_on: Severity, exit_zero: bool) -> int:
    """The largest exit code that applies."""
    code = exits.CLEAN
    for result in results:
        if result.error is not None:
            code = max(code, exits.UNREADABLE if result.error.kind == "unreadable" else exits.ABNORMAL)
        if result.report is not None:
            if result.report.failures:
                code = max(code, exits.ABNORMAL)
            if result.report.at_or_above(fail_on) and not exit_zero:
                code = max(code, exits.FINDINGS)
    return code
