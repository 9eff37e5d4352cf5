"""``fuseguard inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fuseguard.cli import exits, output
from fuseguard.cli.paths import ProgramPath

if TYPE_CHECKING:
    from fuseguard.engine.interface import ExportedFile
    from fuseguard.readers.lowered import LoweredFile

EPILOG = """\b
Examples:
  fuseguard inspect model.pt2
  fuseguard inspect model.pte
  fuseguard inspect delegate.vgf --output-format json

Exit codes: 0, whatever the file holds; 2 usage or internal error; 3 the file
could not be read."""


@click.command("inspect", epilog=EPILOG, short_help="Show inputs, outputs and delegates of a file.")
@click.argument("file", type=ProgramPath())
@output.format_option("text", "json")
@output.color_option
def command(file: Path, output_format: str, color: str) -> None:
    """Show the inputs and outputs of a program with dtype, shape, layout, scale and zero point; of a lowered file also
    its delegates and operators.

    FILE is a lowered file (.pte, VGF or TOSA), or one that 'fuseguard check' reads (.pt2, ETRecord); its name does not
    matter. Needs no torch, and runs nothing in the file. Warns of outputs of a VGF that share one value: Vulkan may
    write one of them alone.
    """
    from fuseguard.readers.lowered import NotLowered, read_lowered
    from fuseguard.report import inspection

    if not file.exists():
        raise exits.Refused(f"{file}: no such file.")
    read: LoweredFile | ExportedFile
    try:
        read = read_lowered(file)
    except NotLowered:
        from fuseguard.engine.interface import ExportedFile, interface_of
        from fuseguard.readers.open import read_file

        read = ExportedFile(file.stat().st_size, interface_of(read_file(file)))

    if output_format == "json":
        from fuseguard.report import json

        output.write_text(json.dump(inspection.to_dict(str(file), read)))
    else:
        output.write_lines(inspection.render(str(file), read), color)
