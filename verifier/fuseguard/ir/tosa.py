"""What is read of a delegate's TOSA flatbuffer: operators, tensors and the small constants among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True, slots=True)
class TosaTensor:
    """``dtype`` by TOSA's name (``INT8``). ``values`` are those of a small integer constant, else None."""

    name: str
    dtype: str
    shape: tuple[int, ...] = ()
    values: tuple[int, ...] | None = None

    @property
    def dim_order(self) -> tuple[int, ...]:
        """The dimensions from the outermost to the innermost in memory: the last of a TOSA tensor varies fastest."""
        return tuple(range(len(self.shape)))


@dataclass(frozen=True, slots=True)
class TosaOp:
    """``kind`` by TOSA's name (``CONV2D``). ``bounds`` are the lowest and highest code of an integer CLAMP."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    bounds: tuple[int, int] | None = None


@dataclass(frozen=True)
class TosaProgram:
    """The first block of the main region; ``version`` is (major, minor)."""

    version: tuple[int, int]
    ops: tuple[TosaOp, ...]
    tensors: Mapping[str, TosaTensor] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    @cached_property
    def readers(self) -> Mapping[str, tuple[TosaOp, ...]]:
        """The operators that read a tensor, by its name."""
        found: dict[str, list[TosaOp]] = {}
        for op in self.ops:
            for name in dict.fromkeys(op.inputs):
                found.setdefault(name, []).append(op)
        return {name: tuple(ops) for name, ops in found.items()}

    @cached_property
    def same_outputs(self) -> tuple[tuple[int, ...], ...]:
        """The positions of outputs that are one value but for IDENTITY, in groups."""
        sources = {op.outputs[0]: op.inputs[0] for op in self.ops if op.kind == "IDENTITY" and op.inputs and op.outputs}
        groups: dict[str, list[int]] = {}
        for position, name in enumerate(self.outputs):
            for _ in range(len(sources)):  # a forged graph may go round in circles
                if name not in sources:
                    break
                name = sources[name]
            groups.setdefault(name, []).append(position)
        return tuple(tuple(group) for group in groups.values() if len(group) > 1)
