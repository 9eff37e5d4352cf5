"""What is read of a VGF file, the container of Arm's ML SDK for Vulkan: interface, operators and shared values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class VgfTensor:
    """An input or output of the model. ``format`` is Vulkan's name of the element type (``R8_SINT``).

    ``dim_order`` are the dimensions from the outermost to the innermost in memory, None if the file has other strides
    than those of a dense tensor.
    """

    name: str
    binding: int
    shape: tuple[int, ...]
    format: str
    dim_order: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class SharedValue:
    """One SPIR-V value that a graph sets several outputs to. A runtime may write the last of them alone.

    ``outputs`` are their positions among the outputs of the model. ``resources`` are their places in the model's
    resource table, which an output of one segment that the next one reads has too.
    """

    outputs: tuple[int, ...]
    resources: tuple[int, ...]


@dataclass(frozen=True)
class VgfProgram:
    """``ops`` counts the TOSA operators of the SPIR-V graphs by name. ``segments`` counts those by type.

    ``passed_on`` are the positions of outputs that are an input of the graph as it is.
    """

    version: tuple[int, int, int]
    inputs: tuple[VgfTensor, ...]
    outputs: tuple[VgfTensor, ...]
    segments: Mapping[str, int] = field(default_factory=dict)
    ops: Mapping[str, int] = field(default_factory=dict)
    shared: tuple[SharedValue, ...] = ()
    passed_on: tuple[int, ...] = ()
