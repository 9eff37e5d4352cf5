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


@dataclass(frozen=True, slots=True)
class EngineOp:
    """A TOSA operator whose result an engine yields otherwise, although its operands are the reference model's.

    ``kinds``: the operator, after those between the compared operands and it whose results no VGF can hold (the int48
    sums of an int16 convolution). ``tensor``: the result. ``operands``: the tensors that agree, with the inputs of the
    delegate. ``differing`` to ``actual`` are as those of an :class:`EngineDifference`. ``value``: the quantized value
    of the program that the result belongs to, or the first one after it; ``program_ops`` and ``source`` are its ops
    and where they are in the model. They are empty where the lockstep judge has found no such value.
    """

    kinds: tuple[str, ...]
    tensor: str
    operands: tuple[str, ...]
    differing: int
    elements: int
    largest: float
    at: tuple[int, ...]
    expected: float
    actual: float
    value: str = ""
    program_ops: tuple[str, ...] = ()
    source: str = ""

    def __str__(self) -> str:
        """As a sentence without its end."""
        text = f"{' -> '.join(self.kinds)}, which yields {self.tensor}: {self.differing} of {self.elements} elements"
        return f"{text}, at {self.source or self.value}" if self.source or self.value else text


@dataclass(frozen=True, slots=True)
class EngineLocation:
    """What one delegate with a difference shows when it runs again with every tensor as an output.

    ``compared`` of ``tensors`` computed tensors could be compared; the others have a dtype that no VGF can hold.
    ``ops``: where a difference begins, the earliest operator first. Only those that a differing output is computed
    from are looked at. ``reproduced``: the outputs of the delegate that differ in this run too. To make a tensor
    visible may change what the compiler makes of the graph: a difference may be gone. ``merged``: groups of
    tensors that are one value in the VGF, of which one is an output in this run. ``reason`` says why the delegate could
    not be run so; "" if it was.
    """

    delegate: int
    compared: int = 0
    tensors: int = 0
    ops: tuple[EngineOp, ...] = ()
    reproduced: tuple[int, ...] = ()
    merged: tuple[tuple[str, ...], ...] = ()
    reason: str = ""

    def __str__(self) -> str:
        """As a sentence without its end."""
        begins = f"delegate {self.delegate}: "
        if self.reason:
            return f"{begins}not located: {self.reason}"
        if self.ops:
            more = f", and {len(self.ops) - 1} more" if len(self.ops) > 1 else ""
            gone = "" if self.reproduced else "; with all tensors visible, the outputs themselves are right"
            return f"{begins}first at {self.ops[0]}{more}{gone}"
        if self.reproduced:
            return f"{begins}no operator: all {self.compared} compared tensors that these outputs come from are right"
        text = f"{begins}no operator: with all {self.compared} tensors visible, each is right"
        named = " and ".join(", ".join(group) for group in self.merged)
        return f"{text}. The VGF has one value for {named}" if named else f"{text}, and the difference is gone"
