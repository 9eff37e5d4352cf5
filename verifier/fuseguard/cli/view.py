"""``fuseguard view``."""

from __future__ import annotations

import tempfile
import webbrowser
from pathlib import Path
from typing import Any

import click

from fuseguard.cli import exits, output, settings
from fuseguard.cli.paths import ProgramPath
from fuseguard.cli.progress import progress
from fuseguard.cli.reports import source_root_option
from fuseguard.engine.registry import load_registry
from fuseguard.gate.exit_codes import exit_code
from fuseguard.gate.files import check_with
from fuseguard.report.formats import render_document
from fuseguard.report.options import Options

EPILOG = """\b
Examples:
  fuseguard view model.pt2
  fuseguard view model.pt2 --target ethos-u85 --executorch all
  fuseguard view model.pt2 --no-open --output-file report.html

\b
Exit codes: 0 whatever was found; 2 usage, target, rule pack or internal
error, or a rule failed; 3 a file could not be read or was refused."""


@click.command("view", epilog=EPILOG, short_help="Check programs and show the report in the browser.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=ProgramPath())
@settings.gate_options
@settings.baseline_options
@settings.program_options
@source_root_option
@click.option(
    "--output-file",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PATH",
    help="Write the page to this file. Default: a new temporary file.",
)
@click.option("--open/--no-open", "opens", default=True, show_default=True, help="Open the page in the browser.")
@settings.jobs_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    files: tuple[Path, ...],
    source_root: Path | None,
    output_file: Path | None,
    opens: bool,
    jobs: int,
    **options: Any,
) -> None:
    """Check quantized programs and show the HTML report, which 'check --report html=PATH' writes as well.

    The page is one file that needs no network. Nothing in a program is run, and torch is not needed.
    """
    files = settings.programs(files)
    gate = settings.resolve(load_registry(), **options)
    if output_file is not None:
        kept = settings.not_to_be_lost(files, gate, options["config"])
        output.refuse_to_overwrite(output_file, "--output-file", kept)
    with progress(len(set(files)), False) as step:
        result = check_with(gate, files, jobs, step)
    for file in result.files:
        if file.error is not None:
            exits.tell(f"error: {file.trouble}")
    rules = {rule.code: rule for rule in gate.rules}
    page = render_document("html", result, Options(source_root or Path.cwd(), rules, warn=output.warn))
    path = output_file or Path(tempfile.mkdtemp(prefix="fuseguard-")) / "report.html"
    output.write_file(path, page)
    output.write_text(f"{path}\n")
    if opens and not webbrowser.open(path.absolute().as_uri()):
        exits.tell("No browser could be started here; open the file in one.")
    ctx.exit(exit_code(result.files, gate.fail_on, exit_zero=True))
