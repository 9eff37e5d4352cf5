"""``fuseguard view``."""

from __future__ import annotations

import json
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
from fuseguard.gate.result import CheckResult
from fuseguard.ir.graph import Graph
from fuseguard.report import model_explorer_graph
from fuseguard.report.formats import render_document
from fuseguard.report.html_data import graph_of
from fuseguard.report.options import Options
from fuseguard.report.placed_ops import PlacedOps, placed_ops

_MOST_BYTES = 256 * 2**20

EPILOG = """\b
Examples:
  fuseguard view model.pt2
  fuseguard view model.pt2 --target ethos-u85 --executorch all
  fuseguard view model.pt2 --no-open --output-file report.html
  fuseguard view model.pt2 --placement placement.json
  fuseguard view model.pt2 --no-open --graph-json graph.json

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
@click.option(
    "--graph-json",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PATH",
    help="Also write the graphs of the one program as JSON that Model Explorer opens.",
)
@click.option(
    "--placement",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Mark the ops of the one program that stay on the CPU in the whole graph: what 'fuseguard placement "
    "--output-format json' printed.",
)
@settings.jobs_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    files: tuple[Path, ...],
    source_root: Path | None,
    output_file: Path | None,
    opens: bool,
    graph_json: Path | None,
    placement: Path | None,
    jobs: int,
    **options: Any,
) -> None:
    """Check quantized programs and show the HTML report, which 'check --report html=PATH' writes as well.

    The page is one file that needs no network. Nothing in a program is run, and torch is not needed.
    """
    files = settings.programs(files)
    gate = settings.resolve(load_registry(), **options)
    if graph_json is not None and len(files) > 1:
        raise click.UsageError("--graph-json is about one program; view one at a time.")
    if placement is not None and len(files) > 1:
        raise click.UsageError("--placement is about one program; view one at a time.")
    placed = None if placement is None else _placed(placement)
    if graph_json is not None and graph_json == output_file:
        raise click.UsageError("--graph-json and --output-file name one file; give each its own.")
    kept = settings.not_to_be_lost(files, gate, options["config"])
    for written, option in ((output_file, "--output-file"), (graph_json, "--graph-json")):
        if written is not None:
            output.refuse_to_overwrite(written, option, kept)
    with progress(len(set(files)), False) as step:
        result = check_with(gate, files, jobs, step)
    for file in result.files:
        if file.error is not None:
            exits.tell(f"error: {file.trouble}")
    rules = {rule.code: rule for rule in gate.rules}
    if placed and (program := _program(result)) is not None and not _has_any(program, placed):
        output.warn(f"{placement}: none of its ops is in {files[0]}; make the placement of this file.")
    options_of_page = Options(source_root or Path.cwd(), rules, warn=output.warn, placed=placed)
    page = render_document("html", result, options_of_page)
    path = output_file or Path(tempfile.mkdtemp(prefix="fuseguard-")) / "report.html"
    output.write_file(path, page)
    output.write_text(f"{path}\n")
    if graph_json is not None and (program := _program(result)) is not None:
        output.write_file(graph_json, model_explorer_graph.render(program, files[0].name))
        output.write_text(f"{graph_json}\n")
    if opens and not webbrowser.open(path.absolute().as_uri()):
        exits.tell("No browser could be started here; open the file in one.")
    ctx.exit(exit_code(result.files, gate.fail_on, exit_zero=True))


def _placed(path: Path) -> PlacedOps:
    """The ops that a placement leaves on the CPU. Raises Refused for what is not the JSON of one."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise exits.Refused(f"{path}: is larger than the JSON of any placement; give that of this program.")
        return placed_ops(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise exits.Refused(f"{path}: cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:  # JSON and UTF-8 errors are ValueErrors
        raise exits.Refused(
            f"{path}: is not the JSON of a placement ({error}). Write it with 'fuseguard placement FILE --trust "
            f"--output-format json'."
        ) from error


def _has_any(program: Graph, placed: PlacedOps) -> bool:
    known = {(graph.name, node.name) for graph in program.walk() for node in graph}
    return any(key in known for key in placed)


def _program(result: CheckResult) -> Graph | None:
    """The one program that was checked; None if it could not be read, which has been said."""
    file = result.programs[0]
    return graph_of(file, file.report) if file.report is not None else None
