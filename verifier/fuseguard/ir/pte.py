"""What is read of an ExecuTorch program (.pte): its methods, with their delegates and what is left to the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fuseguard.ir.qparams import QParams
from fuseguard.ir.tosa import TosaProgram
from fuseguard.ir.vgf import VgfProgram


@dataclass(frozen=True, slots=True)
class PteTensor:
    """An input or output of a method.

    ``qparams`` are those of the quantize or dequantize op beside it on the CPU; None if there is none, as where it goes
    into a delegate as it is. ``dim_order`` are the dimensions from the outermost to the innermost in memory.
    """

    dtype: str
    shape: tuple[int, ...]
    qparams: QParams | None = None
    dim_order: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class PteDelegate:
    """A compiled part. ``size`` is in bytes. ``tosa`` or ``vgf`` is what it holds, where that is one of them.

    ``specs`` are its compile specs as text, ``blocks`` the parts of another container (Vela's) with their bytes.
    ``fault`` says why it could not be read, "" if it could.
    """

    backend: str
    size: int
    specs: tuple[tuple[str, str], ...] = ()
    tosa: TosaProgram | None = field(default=None, repr=False)
    vgf: VgfProgram | None = field(default=None, repr=False)
    blocks: tuple[tuple[str, int], ...] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True)
class PteMethod:
    """``cpu_ops`` counts the operator calls outside of the delegates by name, ``calls`` those of delegates."""

    name: str
    inputs: tuple[PteTensor, ...]
    outputs: tuple[PteTensor, ...]
    delegates: tuple[PteDelegate, ...]
    cpu_ops: Mapping[str, int]
    calls: int


@dataclass(frozen=True, slots=True)
class PteProgram:
    """``identifier`` is that of the FlatBuffers file (``ET12``), ``constants`` the bytes of its constant segment."""

    identifier: str
    methods: tuple[PteMethod, ...]
