"""What a lowered program says of a delegate: a part that a backend has compiled already."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from fuseguard.ir.tosa import TosaProgram

# Names of the compile specs that Arm's backends write (backends/arm/common/arm_compile_spec.py).
_SPEC = "tosa_spec"
#: ``LoweredBackendModule.backend_id`` of Arm's partitioners.
ARM_BACKENDS = ("TOSABackend", "EthosUBackend", "VgfBackend")


@dataclass(frozen=True, slots=True)
class Delegate:
    """One delegate. The sub-graph that the backend was given is the :class:`Graph` that this belongs to.

    ``specs`` are its compile specs as text, by name. ``tosa`` is its TOSA flatbuffer, None where the file holds what a
    further compiler made of it. ``fault`` says why it could not be read, "" if it could.
    """

    backend: str
    specs: tuple[tuple[str, str], ...] = ()
    tosa: TosaProgram | None = field(default=None, repr=False)
    fault: str = ""

    @property
    def arm(self) -> bool:
        return self.backend in ARM_BACKENDS

    @property
    def tosa_spec(self) -> str:
        """The TOSA specification that it was lowered for (``TOSA-1.0+INT``); "" if it does not say."""
        return dict(self.specs).get(_SPEC, "")


def decoded_specs(pairs: Iterable[tuple[str, bytes]]) -> tuple[tuple[str, str], ...]:
    """Compile specs as text, cut off where they are longer than any that is known."""
    return tuple((key[:80], value[:200].decode("utf-8", "replace")) for key, value in pairs)
