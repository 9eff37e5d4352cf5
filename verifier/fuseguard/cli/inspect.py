"""``fuseguard inspect``."""

from __future__ import annotations

from pathlib import Path

import click

from fuseguard.cli import exits, output
from fuseguard.cli.paths import ProgramPath

EPILOG = """\b
Examples:
  fuseguard inspect model.pte
  fuseguard inspect delegate.vgf --output-format json

\b
Exit codes: 0, whatever the file holds; 2 usage or internal error; 3 the file
could not be read."""


@click.command("inspect", epilog=EPILOG, short_help="Show what a lowered file contains: .pte, .vgf or .tosa.")
@click.argument("file", type=ProgramPath())
@output.format_option("text", "json")
@output.color_option
def command(file: Path, output_format: str, color: str) -> None:
    """Say what a lowered file holds: delegates, inputs and outputs, and operators.

    FILE is an ExecuTorch program (.pte), a VGF file or a TOSA flatbuffer; its name does not matter. Needs no torch, and
    runs nothing in the file. Warns of outputs of a VGF that share one value: Vulkan may write one of them alone.
    """
    from fuseguard.readers.lowered import read_lowered

    if not file.exists():
        raise exits.Refused(f"{file}: no such file.")
    read = read_lowered(file)
    from fuseguard.report import inspection

    if output_format == "json":
        from fuseguard.report import json

        output.write_text(json.dump(inspection.to_dict(str(file), read)))
    else:
        output.write_lines(inspection.render(str(file), read), color)
