"""Reads a lowered file, whatever its name: an ExecuTorch program, a VGF or a TOSA flatbuffer."""

from __future__ import annotations

import mmap
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from fuseguard.ir.pte import PteProgram
from fuseguard.ir.tosa import TosaProgram
from fuseguard.ir.vgf import VgfProgram
from fuseguard.readers.budget import Budget, OverBudget
from fuseguard.readers.errors import UnreadableInput
from fuseguard.readers.flatbuffer import MalformedBuffer
from fuseguard.readers.input_kinds import describe
from fuseguard.readers.pte import IDENTIFIER as PTE_IDENTIFIER
from fuseguard.readers.pte import read_pte
from fuseguard.readers.tosa import IDENTIFIER as TOSA_IDENTIFIER
from fuseguard.readers.tosa import read_tosa
from fuseguard.readers.vgf import MAGIC as VGF_MAGIC
from fuseguard.readers.vgf import read_vgf

Program: TypeAlias = PteProgram | VgfProgram | TosaProgram

_KINDS = "an ExecuTorch program (.pte), a VGF file or a TOSA flatbuffer"


class NotLowered(UnreadableInput):
    """The file is an archive, as programs are before they are lowered."""


@dataclass(frozen=True, slots=True)
class LoweredFile:
    """``kind`` is ``pte``, ``vgf`` or ``tosa``; ``size`` is in bytes."""

    kind: str
    size: int
    program: Program


def read_lowered(path: Path) -> LoweredFile:
    """The program in a lowered file. Nothing in it is run. Raises UnreadableInput, and nothing else."""
    try:
        with path.open("rb") as handle:
            if not stat.S_ISREG(os.fstat(handle.fileno()).st_mode):
                raise UnreadableInput(f"{path}: is not a regular file; name {_KINDS}")
            size = os.fstat(handle.fileno()).st_size
            if size < 8:
                raise UnreadableInput(f"{path}: has {size} bytes, and is neither of {_KINDS}; lower the program again")
            # Closed when the last view of it goes: the traceback of an error may hold one.
            view = memoryview(mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ))
        return _read(path, view, size)
    except OSError as error:
        raise UnreadableInput(f"{path}: cannot be read: {error.strerror or error}") from error


def _read(path: Path, view: memoryview, size: int) -> LoweredFile:
    head = bytes(view[:64])
    try:
        if head[:4] == VGF_MAGIC:
            return LoweredFile("vgf", size, read_vgf(view, Budget()))
        if head[4:8] == TOSA_IDENTIFIER:
            return LoweredFile("tosa", size, read_tosa(view, Budget()))
        if head[4:6] == PTE_IDENTIFIER:
            return LoweredFile("pte", size, read_pte(view, Budget()))
    except MalformedBuffer as error:
        raise UnreadableInput(
            f"{path}: is damaged, cut off or forged: {str(error)[:400]}; lower the program again"
        ) from error
    except OverBudget as error:
        raise UnreadableInput(
            f"{path}: has more than {error}, which are refused to protect memory and time; inspect a smaller program"
        ) from error
    except (RecursionError, MemoryError) as error:
        raise UnreadableInput(f"{path}: needs too much memory to be read safely") from error
    if head.startswith(b"PK\x03\x04"):
        raise NotLowered(
            f"{path}: is a zip archive, as a .pt2 file and an ETRecord are, and is not lowered; use 'fuseguard check'"
        )
    told = describe(head)
    raise UnreadableInput(f"{path}: {told or f'is neither of {_KINDS}'}")
