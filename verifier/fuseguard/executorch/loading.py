"""Programs from files, for what runs or rewrites them. Loading runs code from the file, so it has to be trusted."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch.export import ExportedProgram

from fuseguard.engine.internal_error import debugging, internal_error
from fuseguard.executorch.copying import exported_program_of
from fuseguard.readers.errors import UnreadableInput
from fuseguard.readers.trust import check_loadable, refuse_untrusted

#: Function -> what it does, in the words of the command line.
_DOING = {
    "prove": "Proving", "repair": "Repairing", "repair_and_verify": "Repairing", "lower": "Lowering",
    "placement": "Partitioning",
}  # fmt: skip


def program_of(value: object, what: str, trust: bool) -> ExportedProgram:
    """``value`` itself, or the program in the file that it is the path of.

    Args:
        value: an exported program or a path.
        what: the function that was called, a key of ``_DOING``.
        trust: whether the file is trusted. It says nothing of a program that is loaded already.

    Raises:
        TypeError: ``value`` is something else; the text says what to pass.
        UntrustedFile: it is a path, and ``trust`` is False. UnreadableInput: the file cannot be loaded.
    """
    if not isinstance(value, str | os.PathLike):
        return exported_program_of(value, what)
    if not trust:
        refuse_untrusted(value, f"{_DOING[what]} a program", "trust=True")
    return load(Path(value))


def load(file: Path) -> ExportedProgram:
    """What ``torch.export.load`` loads from a trusted file. Raises UnreadableInput."""
    check_loadable(file)
    try:
        program: ExportedProgram = torch.export.load(file)
    except Exception as error:  # torch raises anything
        if debugging():
            internal_error(error)
        raise UnreadableInput(
            f"{file}: torch {torch.__version__} cannot load it: {type(error).__name__}: {error}\nAn edge program saved "
            f"by torch.export.save cannot be loaded again; save the quantized program before to_edge."
        ) from error
    return program
