"""``fuseguard doctor``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fuseguard.cli import output
from fuseguard.report.lines import Line, Span
from fuseguard.report.quoting import quoted

if TYPE_CHECKING:
    from fuseguard.executorch.engines.status import EngineStatus

EPILOG = """\b
Examples:
  fuseguard doctor
  fuseguard doctor --vulkan-icd /usr/share/vulkan/icd.d/radeon_icd.x86_64.json
  fuseguard doctor --output-format json

\b
Exit code: 0 whatever works; 2 usage or internal error."""

ICD_OPTION = click.option(
    "--vulkan-icd",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The JSON manifest of the Vulkan driver for the engine vgf. A driver with Arm's extensions is used as it is, "
    "another one with Arm's emulation layers. Default: $VK_DRIVER_FILES, else lavapipe.",
)


@click.command("doctor", epilog=EPILOG, short_help="Show which engines work here and what is missing.")
@ICD_OPTION
@output.format_option("text", "json")
@output.color_option
def command(vulkan_icd: Path | None, output_format: str, color: str) -> None:
    """Show which engines work here. 'fuseguard prove' runs a lowered program in an engine.

    The report names each missing piece and the command that installs it. Nothing is installed or changed.
    """
    from fuseguard.executorch.engines.status import statuses

    found = statuses(vulkan_icd)
    if output_format == "json":
        from fuseguard.report import json

        engines = [
            {
                "name": status.name,
                "purpose": status.note,
                "works": status.works,
                "pieces": [
                    {"name": piece.name, "ok": piece.ok, "detail": piece.detail, "install": piece.install}
                    for piece in status.pieces
                ],
                "install": list(status.install),
            }
            for status in found
        ]
        output.write_text(json.dump({**json.envelope(), "engines": engines}))
    else:
        output.write_lines(_lines(found), color)


def _lines(found: Sequence[EngineStatus]) -> Iterator[Line]:
    for status in found:
        told: Span = ("works", "good") if status.works else ("does not work here", "error")
        yield Line((status.name, "strong"), ": ", told, f"; {status.note}", hang=2)
        width = max(len(piece.name) for piece in status.pieces)
        for piece in status.pieces:
            mark = "" if piece.ok else "MISSING: "
            yield Line((f"  {piece.name:{width}}  ", "dim"), (mark, "error"), quoted(piece.detail), hang=width + 4)
        for number, line in enumerate(status.install):
            yield Line(("  install  " if number == 0 else "           ", "dim"), line, hang=11)
