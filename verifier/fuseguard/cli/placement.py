"""``fuseguard placement``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fuseguard.cli import exits, output
from fuseguard.cli.hints import Choice
from fuseguard.cli.paths import ProgramPath
from fuseguard.cli.quiet import quiet
from fuseguard.cli.settings import installed_target_option, ir_validity_option, trust_option
from fuseguard.engine.run import POLICIES
from fuseguard.readers.trust import check_loadable, refuse_untrusted
from fuseguard.target import Target

if TYPE_CHECKING:
    from fuseguard.executorch.placements import Placement

_MISSING = (
    "the placement of ops needs torch and executorch, and this failed: {error}.\nInstall them from a checkout of "
    "fuseguard, with: pip install '.[prove]'"
)

EPILOG = """\b
Examples:
  fuseguard placement model.pt2 --trust --target ethos-u85
  fuseguard placement model.pt2 --trust --target vgf --no-guard
  fuseguard placement model.pt2 --trust --output-format json

\b
Exit codes: 0, whatever is left outside; 2 usage, missing packages or
internal error, or the backend raised before it had decided; 3 the file could
not be read, or --trust is missing."""


@click.command("placement", epilog=EPILOG, short_help="List the ops that stay on the CPU, and why.")
@click.argument("file", type=ProgramPath())
@installed_target_option
@click.option(
    "--guard/--no-guard",
    default=True,
    show_default=True,
    help="Ask fuseguard's guard too, which keeps violating clusters on the CPU.",
)
@click.option(
    "--policy",
    type=Choice(POLICIES),
    default="consistent",
    show_default=True,
    help="What the guard refuses.",
)
@ir_validity_option
@trust_option
@click.option("--verbose", "-v", is_flag=True, help="List every op, those at the edge of a delegate too.")
@output.format_option("text", "json")
@output.color_option
def command(
    file: Path,
    target: str,
    guard: bool,
    policy: str,
    no_check_ir_validity: bool,
    trust: bool,
    verbose: bool,
    output_format: str,
    color: str,
) -> None:
    """Say which ops the installed backend leaves on the CPU, with all reasons, at their source lines.

    The backend's own partitioner decides; then each of its checks is asked on its own, and each of fuseguard's rules.
    Nothing is compiled or run. The file must be trusted.
    """
    resolved = replace(Target.parse(target), ir_validity=not no_check_ir_validity)
    if not trust:
        refuse_untrusted(file, "Partitioning a program", "--trust")
    check_loadable(file)
    with quiet():
        found = _placement(file, resolved, guard, policy)
    from fuseguard.report import placement as report

    if output_format == "json":
        from fuseguard.report import json

        output.write_text(json.dump(report.to_dict(found, str(file))))
    else:
        output.write_lines(report.render(found, str(file), verbose), color)


def _placement(file: Path, target: Target, guard: bool, policy: str) -> Placement:
    try:
        from fuseguard.executorch.loading import load
        from fuseguard.executorch.lowering import unchecked_config
        from fuseguard.executorch.placing import PartitionError, placement
    except ImportError as error:
        raise exits.Failure(_MISSING.format(error=error)) from error
    config = None if target.ir_validity else unchecked_config()
    try:
        return placement(load(file), target, guarded=guard, policy=policy, compile_config=config)
    except ImportError as error:
        raise exits.Failure(_MISSING.format(error=error)) from error
    except PartitionError as error:
        raise exits.Failure(f"{file}: {error}\n'fuseguard check' says which ops break the lowering.") from error
