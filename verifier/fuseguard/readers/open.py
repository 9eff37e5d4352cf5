"""Selects the reader: a file by its path, a live program by its type."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from fuseguard.ir.graph import Graph

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram


def read(program: ExportedProgram | torch.fx.GraphModule | Graph | str | os.PathLike[str]) -> tuple[Graph, str]:
    """The graph of a program and its file name ("" for a live one). Raises UnreadableInput, TypeError."""
    if isinstance(program, Graph):
        return program, ""
    if isinstance(program, str | os.PathLike):
        from fuseguard.readers.errors import UnreadableInput
        from fuseguard.readers.pt2 import read_pt2

        if os.fspath(program) == "":  # Path takes it for the current directory
            raise UnreadableInput("'': is an empty name; pass the path of a .pt2 file")
        return read_pt2(Path(program)), str(program)
    from fuseguard.readers.fx import read_program  # imports torch, which a caller with a live program has

    return read_program(program), ""
