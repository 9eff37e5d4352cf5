"""What Vela says about the delegates of a program: which of them it compiles, and its estimate of their cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

#: Where an operator of a delegate's TOSA graph runs. ``fused``: it has no command of its own, because Vela folds it
#: into another operator or drops it. ``left out``: Vela leaves it to the CPU, and a delegate has no CPU part.
Place: TypeAlias = Literal["NPU", "fused", "left out"]


@dataclass(frozen=True, slots=True)
class NpuOp:
    """One operator of a TOSA graph. Constants are left out.

    ``kind`` by TOSA's name (``CONV2D``), ``tensor`` its first output. ``commands`` is the number of commands that Vela
    generates for the operator, and ``cycles`` what they take; 0 if it has none of its own.
    """

    kind: str
    tensor: str
    place: Place
    commands: int = 0
    cycles: int = 0


@dataclass(frozen=True, slots=True)
class NpuDelegate:
    """One delegate. ``number`` counts them in the order of the lowered program.

    ``fault`` says why there is no compiled delegate, "" if there is one: ``refused`` by Vela, the process of Vela
    ``died``, or it was ended because it was too ``slow``. ``message`` is then the text. ``cycles`` is the total of
    Vela's estimate for one inference. ``sram`` is the peak use of SRAM in bytes. ``binary`` counts the bytes of the
    compiled delegate. ``ops`` are in the order of the TOSA graph; empty if this version of Vela does not say.
    """

    number: int
    fault: Literal["", "refused", "died", "slow"] = ""
    message: str = ""
    cycles: int = 0
    sram: int = 0
    binary: int = 0
    ops: tuple[NpuOp, ...] = ()

    @property
    def reason(self) -> str:
        """``message`` in one line: Vela lists each operator with its faults, and says the same of many operators."""
        groups: list[list[str]] = []
        for line in filter(None, map(str.strip, self.message.splitlines())):
            if line.startswith("- ") and groups:
                groups[-1].append(line.removeprefix("- "))
            else:
                groups.append([line])
        texts = (" ".join((head, ", ".join(faults))) if faults else head for head, *faults in groups)
        told = list(dict.fromkeys(texts))
        return told[0] + (" " + "; ".join(told[1:]) if told[1:] else "") if told else ""


@dataclass(frozen=True, slots=True)
class NpuReport:
    """All delegates of a program, for one accelerator.

    ``system_config`` and ``memory_mode`` are Vela's, as the backend's compile spec chooses them. ``tosa`` is the
    outcome of the same delegates in the TOSA reference model, "" if they were not run there.
    """

    accelerator: str
    vela: str
    system_config: str
    memory_mode: str
    delegates: tuple[NpuDelegate, ...]
    tosa: str = ""

    @property
    def faults(self) -> tuple[NpuDelegate, ...]:
        """The delegates that are not compiled."""
        return tuple(item for item in self.delegates if item.fault)

    @property
    def cycles(self) -> int:
        """The sum over all delegates. What runs on the CPU is not in it."""
        return sum(item.cycles for item in self.delegates)

    @property
    def sram(self) -> int:
        """The peak over all delegates, in bytes: they run one after the other."""
        return max((item.sram for item in self.delegates), default=0)
