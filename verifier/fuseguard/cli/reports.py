"""``--report FORMAT=PATH``: several reports of one run, each to a file of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from fuseguard.cli import candidates, exits, output, settings
from fuseguard.engine.collector import collector_paused
from fuseguard.gate.result import CheckResult
from fuseguard.ir.value import Value
from fuseguard.report.formats import FORMATS, LINES, OF_ONE_PROGRAM, render_document, render_lines
from fuseguard.report.options import Options

F = TypeVar("F", bound=Callable[..., Any])


class ReportFile(Value, frozen=True):
    """One report to write."""

    format: str
    path: Path


def source_root_option(command: F) -> F:
    """``--source-root``."""
    return click.option(
        "--source-root",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        metavar="DIR",
        help="Directory that source lines in a report are relative to. Default: the current one.",
    )(command)


def report_options(command: F) -> F:
    """``--output-format`` and the other options for what is written where."""
    for option in reversed(
        (
            output.format_option(*FORMATS),
            settings.output_file_option,
            click.option(
                "--report",
                "report",
                multiple=True,
                metavar="FORMAT=PATH",
                shell_complete=candidates.report_formats,
                help="Also write a report to a file; repeat for more. The formats are those of --output-format.",
            ),
            source_root_option,
            click.option(
                "--statistics", is_flag=True, help="Print counts by rule instead of findings (text and concise)."
            ),
        )
    ):
        command = option(command)
    return command


def parse_reports(
    values: Sequence[str],
    output_file: Path | None = None,
    kept: Mapping[Path, str] | None = None,
    formats: Sequence[str] = FORMATS,
) -> tuple[ReportFile, ...]:
    """The values of ``--report``, each of one of ``formats``.

    ``kept`` maps identities of files to what is in them, which must not be lost.

    Raises Failure for an unknown format, for two reports to one file, and for one that would overwrite a program.
    """
    reports = []
    example = "sarif=fuseguard.sarif" if "sarif" in formats else f"{formats[0]}=report.{formats[0]}"
    taken = dict(kept or {})
    if output_file is not None:
        output.refuse_to_overwrite(output_file, "--output-file", taken)
        taken[output.identity(output_file)] = "what --output-file writes"
    for value in values:
        name, equals, path = value.partition("=")
        if not equals or not path:
            hint = f"as in --report {name}=report.txt" if name in formats else f"as in --report {example}"
            raise exits.Failure(f"--report {value!r} is not FORMAT=PATH, {hint}.")
        if name not in formats:
            valid = f"Valid are {', '.join(formats)}." if len(formats) > 1 else f"Valid is {formats[0]}."
            hint = exits.nearest(name, formats)
            raise exits.Failure(f"--report {value!r}: {name!r} is not a format. {hint} {valid}".replace("  ", " "))
        if path == "-":
            raise exits.Failure(f"--report {value!r}: stdout takes one report; use --output-format {name}.")
        file = Path(path)
        if file.is_dir():
            raise exits.Failure(f"--report {value!r}: {path!r} is a directory; name a file in it.")
        output.refuse_to_overwrite(file, f"--report {value!r}", taken)
        taken[output.identity(file)] = f"what --report {value!r} writes"
        reports.append(ReportFile(name, file))
    return tuple(reports)


def check_formats(formats: Sequence[str], files: Sequence[Path]) -> None:
    """Raises Failure for several files and a format that describes one program."""
    number = len(set(files))
    for name in formats:
        if name in OF_ONE_PROGRAM and number > 1:
            raise exits.Failure(
                f"{name} describes the nodes of one program, but {number} are checked; check one at a time."
            )


@collector_paused()
def write_reports(
    result: CheckResult,
    options: Options,
    *,
    output_format: str,
    output_file: Path | None,
    reports: Sequence[ReportFile],
    color: str,
) -> int:
    """Write all reports of a run. A report that cannot be written is reported on stderr, and the others are still
    written. Returns the exit code for that, or 0.
    """
    for file in result.files:
        if file.error is not None:
            exits.tell(f"error: {file.trouble}")
    code = exits.CLEAN
    files = [ReportFile(output_format, output_file)] if output_file is not None else []
    for report in (*files, *reports):
        try:
            output.write_file(report.path, render_document(report.format, result, options))
        except exits.Failure as error:
            error.show()
            code = max(code, error.exit_code)
    if output_file is None:
        if output_format in LINES:
            # A line of the concise format is a finding, however narrow the terminal is.
            wrap = None if output_format == "text" else False
            output.write_lines(render_lines(output_format, result, options, errors=False), color, wrap=wrap)
        else:
            output.write_text(render_document(output_format, result, options))
    return code
