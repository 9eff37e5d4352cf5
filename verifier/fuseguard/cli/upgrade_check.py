"""``fuseguard upgrade-check``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fuseguard.cli import candidates, exits, output, settings
from fuseguard.cli.paths import ProgramPath
from fuseguard.cli.progress import progress
from fuseguard.engine.finding import Severity
from fuseguard.engine.registry import load_registry
from fuseguard.gate.exit_codes import exit_code
from fuseguard.gate.files import check_programs
from fuseguard.gate.upgrade import Change, compare
from fuseguard.report.upgrade import FileUpgrade, UpgradeResult
from fuseguard.target import Target

EPILOG = """\b
Examples:
  fuseguard upgrade-check model.pt2 --from 1.4.1 --to 1.5.1
  fuseguard upgrade-check model.pt2 --from 1.4.1 --to 1.5.1 --target all
  fuseguard upgrade-check *.pt2 --from 1.2.0 --to 1.5.1 --output-format json

Exit codes: 0 nothing breaks; 1 something that is not an error with the first
release is an error with the second; 2 usage, configuration, rule pack or internal
error, or a rule failed; 3 a file could not be read or was refused."""


@click.command("upgrade-check", epilog=EPILOG, short_help="Show what another ExecuTorch release breaks and fixes.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=ProgramPath())
@click.option(
    "--from", "before", required=True, metavar="VERSION", shell_complete=candidates.release,
    help="The ExecuTorch release that you have.",
)  # fmt: skip
@click.option(
    "--to", "after", required=True, metavar="VERSION", shell_complete=candidates.release,
    help="The ExecuTorch release to compare it with.",
)  # fmt: skip
@settings.rule_options
@output.format_option("text", "json")
@settings.output_file_option
@click.option("--exit-zero", is_flag=True, help="Exit with 0 instead of 1. Errors (2, 3) still count.")
@settings.jobs_option
@click.option("--quiet", "-q", is_flag=True, help="Print changes and errors, but no notices or summary.")
@output.color_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    files: tuple[Path, ...],
    before: str,
    after: str,
    output_format: str,
    output_file: Path | None,
    exit_zero: bool,
    jobs: int,
    quiet: bool,
    color: str,
    **options: Any,
) -> None:
    """Show what another release breaks in quantized programs (.pt2 files), what it fixes and
    what stays broken, for one target or several.

    Nothing in a file is run, and neither release has to be installed. Baselines are ignored: a known finding may still
    break with the other release.
    """
    registry = load_registry()
    gate = settings.resolve(registry, executorch=(_release(before), _release(after)), no_baseline=True, **options)
    if len(gate.targets) % 2 or gate.targets[0].release == gate.targets[1].release:
        raise exits.Failure(f"--from {before} and --to {after} are the same release; there is nothing to compare.")
    if output_file is not None:
        kept = settings.not_to_be_lost(files, gate, options["config"])
        output.refuse_to_overwrite(output_file, "--output-file", kept)
    with progress(len(set(files)), quiet) as step:
        checked = check_programs(gate, files, jobs, step)
    # Errors and failures of rules count; findings do so only if they are new ones.
    code = exit_code(checked, Severity.ERROR, exit_zero=True)
    results = tuple(
        FileUpgrade(result.file, compare(result.report) if result.report else None, result.error) for result in checked
    )
    breaks = any(result.upgrade and result.upgrade.of(Change.BREAKS) for result in results)
    code = max(code, exits.FINDINGS if breaks and not exit_zero else exits.CLEAN)
    for checked_file in checked:
        if checked_file.error is not None:
            exits.tell(f"error: {checked_file.trouble}")
    _write(UpgradeResult(results, gate.targets, gate.policy, code), output_format, output_file, quiet, color)
    ctx.exit(code)


def _release(text: str) -> str:
    """One release. Raises TargetError: lists and ``all`` are for ``check``."""
    Target.parse("TOSA-1.0+INT", text)
    return text


def _write(result: UpgradeResult, output_format: str, output_file: Path | None, quiet: bool, color: str) -> None:
    from fuseguard.report import json, upgrade
    from fuseguard.report.lines import plain

    if output_format == "json":
        text = json.dump(upgrade.to_dict(result))
    elif output_file is not None:
        text = plain(upgrade.render(result, quiet=quiet))
    else:
        output.write_lines(upgrade.render(result, quiet=quiet), color)
        return
    if output_file is None:
        output.write_text(text)
    else:
        output.write_file(output_file, text)
