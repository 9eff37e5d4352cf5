"""Where an engine yields something else than the TOSA reference model, on the same inputs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineDifference:
    """One output of one delegate.

    ``delegate`` counts the delegates in the order in which they first run, ``output`` the outputs of this one;
    ``tensor`` is its name. ``differing`` of ``elements`` differ; ``largest`` is the largest difference, in codes of an
    integer tensor, at the index ``at``, where the reference model has ``expected`` and the engine ``actual``.
    ``shared_with`` are outputs that are one value with this one in the compiled graph: of those, a runtime may write
    the last alone.
    """

    delegate: int
    output: int
    tensor: str
    differing: int
    elements: int
    largest: float
    at: tuple[int, ...]
    expected: float
    actual: float
    shared_with: tuple[int, ...] = ()

    def __str__(self) -> str:
        """As a sentence without its end."""
        text = f"output {self.output} of delegate {self.delegate}: {self.differing} of {self.elements} elements"
        if not self.shared_with:
            return text
        others = " and ".join(map(str, self.shared_with))
        return f"{text}; it is one value with output {others} in the VGF"
