"""Reads a TOSA flatbuffer, and makes every tensor of it an output.

The classes that read the flatbuffer come with tosa-tools (package ``tosa``). They check nothing: use them on what the
backend has just made, and not on files from others.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from typing import Any

#: What computes nothing.
CONSTANTS = frozenset(("CONST", "CONST_SHAPE"))


@dataclass(frozen=True, slots=True)
class TosaOp:
    """An operator: its name in the specification (``RESCALE``), and its operands and results by name."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TosaTensor:
    """``shape`` in elements, ``dtype`` as the specification names it (``INT8``)."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class TosaGraph:
    """The main block of a TOSA graph. ``ops`` are in execution order."""

    ops: tuple[TosaOp, ...]
    tensors: dict[str, TosaTensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def read_tosa(serialized: bytes) -> TosaGraph:
    """The main block of a serialized TOSA graph. Raises ImportError without tosa-tools."""
    block = _main_block(serialized)
    names, dtypes = _enumeration("Op"), _enumeration("DType")
    ops = []
    for number in range(block.OperatorsLength()):
        op = block.Operators(number)
        ops.append(TosaOp(names[op.Op()], _strings(op, "Inputs"), _strings(op, "Outputs")))
    tensors = {}
    for number in range(block.TensorsLength()):
        tensor = block.Tensors(number)
        shape = tuple(int(tensor.Shape(dim)) for dim in range(tensor.ShapeLength()))
        tensors[tensor.Name().decode()] = TosaTensor(shape, dtypes[tensor.Type()])
    return TosaGraph(tuple(ops), tensors, _strings(block, "Inputs"), _strings(block, "Outputs"))


def with_outputs(serialized: bytes, names: tuple[str, ...]) -> bytes:
    """The same graph with ``names`` for outputs.

    Nothing is encoded again: a new vector of strings is put after the buffer's end, and the block's field points to it.
    Offsets in a flatbuffer are relative and point forward, so that all others stay right.
    """
    block = _main_block(serialized)
    field = block._tab.Offset(_field("Outputs"))
    if not field:
        raise ValueError("the TOSA graph has no outputs")
    place = block._tab.Pos + field
    data = bytearray(serialized)
    data += bytes(-len(data) % 4)
    vector = len(data)
    data += struct.pack("<I", len(names)) + bytes(4 * len(names))
    for number, name in enumerate(names):
        entry = vector + 4 + 4 * number
        struct.pack_into("<I", data, entry, len(data) - entry)
        encoded = name.encode()
        data += struct.pack("<I", len(encoded)) + encoded + b"\0"
        data += bytes(-len(data) % 4)
    struct.pack_into("<I", data, place, vector - place)
    return bytes(data)


def _main_block(serialized: bytes) -> Any:
    from tosa.TosaGraph import TosaGraph as Root

    return Root.GetRootAs(serialized, 0).Regions(0).Blocks(0)


@cache
def _enumeration(name: str) -> dict[int, str]:
    import importlib

    members = vars(getattr(importlib.import_module(f"tosa.{name}"), name))
    return {value: key for key, value in members.items() if isinstance(value, int)}


@cache
def _field(name: str) -> int:
    """The place of a field of the block in its vtable: in the schema's order, after the vtable's own two sizes."""
    order = ("Name", "Operators", "Tensors", "Inputs", "Outputs", "Shapes")
    return 4 + 2 * order.index(name)


def _strings(table: Any, field: str) -> tuple[str, ...]:
    length = getattr(table, f"{field}Length")()
    return tuple(getattr(table, field)(number).decode() for number in range(length))
