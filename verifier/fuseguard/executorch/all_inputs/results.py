"""What --all-inputs says: for each cell, whether it was proved for every input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

CellStatus: TypeAlias = Literal["proved", "refuted", "sampled"]


@dataclass(frozen=True)
class Counterexample:
    """Operand codes for which a cell is wrong. The program's inputs may never produce them.

    ``codes``: by operand and index, in the program's layout, the codes that matter; all others may be the zero points.
    ``at``: the element of the cell's value. ``expected`` and ``actual``: its codes (values, of a result in floats).
    """

    codes: tuple[tuple[str, tuple[int, ...], int], ...]
    at: tuple[int, ...]
    expected: float
    actual: float


@dataclass(frozen=True)
class CellProof:
    """One cell, for all codes of its operands.

    ``value``: the quantize op, or the result, that the cell ends with. ``ops``, ``operands``, ``joined``, ``tensor``:
    as in :class:`fuseguard.executorch.lockstep.cells.Cell`.

    ``status``: ``proved``: right for every input; ``refuted``: wrong for the codes of ``counterexample``, which was
    run; ``sampled``: right on ``count`` drawn codes, and ``reason`` says why not all of them were tried.

    ``method``: how. ``count``: how many combinations of codes, or values of accumulators, were compared. ``ties``: how
    many of them are rounding ties, where either code is right. ``rounded``: how many are within ``bound`` steps, which
    is what the ops of the cell may round, or the codes that torch yields in float32. ``saturated``: the lowering
    saturates at the dtype's limits where the program does at qmin or qmax.
    """

    value: str
    status: CellStatus
    method: str = ""
    count: int = 0
    ops: tuple[str, ...] = ()
    operands: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()
    tensor: str = ""
    reason: str = ""
    ties: int = 0
    rounded: int = 0
    bound: float = 0.0
    saturated: bool = False
    counterexample: Counterexample | None = None
    source: str = ""
    module: str = ""


@dataclass(frozen=True)
class AllInputs:
    """The cells of a program, in its order. ``seconds``: what it took."""

    cells: tuple[CellProof, ...]
    seconds: float = 0.0

    @property
    def share_proved(self) -> float:
        """The part of the cells that is proved for every input; 1.0 if there are none."""
        return sum(cell.status == "proved" for cell in self.cells) / len(self.cells) if self.cells else 1.0

    @property
    def refuted(self) -> tuple[CellProof, ...]:
        return tuple(cell for cell in self.cells if cell.status == "refuted")

    @property
    def remaining(self) -> tuple[CellProof, ...]:
        """The cells that were only sampled."""
        return tuple(cell for cell in self.cells if cell.status == "sampled")
