"""``fuseguard diff``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from fuseguard.cli import exits, output, settings
from fuseguard.cli.paths import ProgramPath
from fuseguard.engine.registry import load_registry
from fuseguard.gate.difference import compare
from fuseguard.gate.exit_codes import exit_code
from fuseguard.gate.files import check_file
from fuseguard.report.difference import Difference

EPILOG = """\b
Examples:
  fuseguard diff before.pt2 after.pt2
  fuseguard diff before.pt2 after.pt2 --target all --executorch 1.5.1
  fuseguard diff before.pt2 after.pt2 --fail-on warning --output-format json

Exit codes: 0 nothing at or above --fail-on is new or got worse; 1 something is;
2 usage, configuration, rule pack or internal error, or a rule failed; 3 a file
could not be read or was refused."""


@click.command("diff", epilog=EPILOG, short_help="Compare two programs: show the new findings and those that are gone.")
@click.argument("before", type=ProgramPath())
@click.argument("after", type=ProgramPath())
@settings.gate_options
@output.format_option("text", "json")
@settings.output_file_option
@settings.fail_on_option
@click.option("--exit-zero", is_flag=True, help="Exit with 0 instead of 1. Errors (2, 3) still count.")
@click.option("--quiet", "-q", is_flag=True, help="Print changes and errors, but no notices or summary.")
@output.color_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    before: Path,
    after: Path,
    output_format: str,
    output_file: Path | None,
    exit_zero: bool,
    quiet: bool,
    color: str,
    **options: Any,
) -> None:
    """Compare the findings of two programs (.pt2 files), usually two exports of one model.

    A finding is the same one as long as its place in the model is the same, whatever its nodes are called and however
    the model was calibrated. Baselines are ignored.
    """
    gate = settings.resolve(load_registry(), no_baseline=True, **options)
    if output_file is not None:
        kept = settings.not_to_be_lost((before, after), gate, options["config"])
        output.refuse_to_overwrite(output_file, "--output-file", kept)
    files = check_file(before, gate), check_file(after, gate)
    for file in files:
        if file.error is not None:
            exits.tell(f"error: {file.trouble}")
    reports = [file.report for file in files if file.report is not None]
    pairs = compare(reports[0], reports[1]) if len(reports) == 2 else ()
    difference = Difference(*files, pairs, gate.targets, gate.policy)
    code = exit_code(files, gate.fail_on, exit_zero=True)
    if difference.counts_as(gate.fail_on) and not exit_zero:
        code = max(code, exits.FINDINGS)
    _write(replace(difference, exit_code=code), output_format, output_file, quiet, color)
    ctx.exit(code)


def _write(difference: Difference, output_format: str, output_file: Path | None, quiet: bool, color: str) -> None:
    from fuseguard.report import difference as report
    from fuseguard.report import json
    from fuseguard.report.lines import plain

    if output_format == "json":
        text = json.dump(report.to_dict(difference))
    elif not difference.pairs and any(file.error for file in difference.files):
        text = ""  # nothing was compared, and the error has been reported
    elif output_file is not None:
        text = plain(report.render(difference, quiet=quiet))
    else:
        output.write_lines(report.render(difference, quiet=quiet), color)
        return
    if output_file is None:
        output.write_text(text)
    else:
        output.write_file(output_file, text)
