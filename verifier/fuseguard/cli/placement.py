"""``fuseguard placement``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fuseguard.cli import exits, output
from fuseguard.cli.paths import ProgramPath
from fuseguard.cli.quiet import quiet
from fuseguard.cli.settings import (
    installed_target,
    installed_target_option,
    ir_validity_option,
    policy_option,
    require_trust,
    trust_option,
)
from fuseguard.target import Target

if TYPE_CHECKING:
    from fuseguard.executorch.placements import Placement

EPILOG = """\b
Examples:
  fuseguard placement model.pt2 --trust --target ethos-u85
  fuseguard placement model.pt2 --trust --target vgf --no-guard
  fuseguard placement model.pt2 --trust --output-format json

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
@policy_option()
@click.option(
    "--vela/--no-vela",
    default=True,
    show_default=True,
    help="For an Ethos-U, lower the program and ask Vela too, which compiles the delegates, if it is installed.",
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
    vela: bool,
    no_check_ir_validity: bool,
    trust: bool,
    verbose: bool,
    output_format: str,
    color: str,
) -> None:
    """Say which ops the installed backend leaves on the CPU, with all reasons, at their source lines.

    The backend's own partitioner decides; then each of its checks is asked on its own, and each of fuseguard's rules.
    For an Ethos-U, the program is lowered too, and Vela says what it refuses and what it leaves on the CPU. No result
    is computed. The file must be trusted.
    """
    resolved = installed_target(target, no_check_ir_validity)
    require_trust([file], "Partitioning a program", trust)
    with quiet():
        found = _placement(file, resolved, guard, policy, vela)
    from fuseguard.report import placement as report

    if output_format == "json":
        from fuseguard.report import json

        output.write_text(json.dump(report.to_dict(found, str(file))))
    else:
        output.write_lines(report.render(found, str(file), verbose), color)


def _placement(file: Path, target: Target, guard: bool, policy: str, vela: bool) -> Placement:
    try:
        from fuseguard.executorch.loading import load
        from fuseguard.executorch.lowering import unchecked_config
        from fuseguard.executorch.placing import PartitionError, placement
    except ImportError as error:
        raise exits.Failure(exits.MISSING_PROVE.format(error=error)) from error
    config = None if target.ir_validity else unchecked_config()
    try:
        return placement(load(file), target, guarded=guard, policy=policy, compile_config=config, vela=vela)
    except ImportError as error:
        raise exits.Failure(exits.MISSING_PROVE.format(error=error)) from error
    except PartitionError as error:
        raise exits.Failure(f"{file}: {error}\n'fuseguard check' says which ops break the lowering.") from error
