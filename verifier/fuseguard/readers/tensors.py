"""Values of scales, zero points and small constants that a file keeps as raw tensors."""

from __future__ import annotations

import struct
from collections.abc import Callable

from fuseguard.ir.graph import Node, constants_to_read
from fuseguard.readers.budget import MAX_QPARAM_VALUES, Budget, OverBudget
from fuseguard.readers.schema import DTYPES, MalformedProgram, TensorValue

# struct's characters. bfloat16 is the upper half of a float32.
_STRUCT_CODES = {
    "uint8": "B", "int8": "b", "int16": "h", "int32": "i", "int64": "q", "uint16": "H", "uint32": "I", "uint64": "Q",
    "float16": "e", "float32": "f", "float64": "d", "bool": "B", "bfloat16": "H",
}  # fmt: skip


def constant_values(
    nodes: list[Node], values: Callable[[str], tuple[float, ...] | None]
) -> dict[str, tuple[float, ...]]:
    """Values of the constants that rules ask for, by placeholder.

    ``values`` is asked for those of a placeholder, and answers None for unknown ones, which are left out.
    """
    read = ((name, values(name)) for name in constants_to_read(nodes))
    return {name: told for name, told in read if told is not None}


def tensor_values(name: str, value: TensorValue, data: bytes, little: bool, budget: Budget) -> tuple[float, ...] | None:
    """The elements of a tensor whose storage is ``data``; None for a fake one and for types that no qparam has.

    Raises MalformedProgram if the storage is smaller than the tensor, OverBudget.
    """
    dtype = DTYPES.get(value.dtype, "")
    sizes = [size.as_int for size in value.sizes]
    strides = [stride.as_int for stride in value.strides]
    offset = value.storage_offset.as_int
    if not data or offset is None or None in sizes or None in strides:
        return None  # torch stores nothing for a fake tensor
    layout = [(size or 0, stride or 0) for size, stride in zip(sizes, strides, strict=False)]
    if len(sizes) != len(strides) or offset < 0 or any(size < 0 or stride < 0 for size, stride in layout):
        raise MalformedProgram(f"the tensor {name[:80]!r} has impossible sizes, strides or offset")
    code = _STRUCT_CODES.get(dtype)
    if code is None:
        return None  # no type that scales and zero points have
    positions = _positions(offset, layout, budget)
    item = struct.Struct(f"{'<' if little else '>'}{code}")
    if positions and (max(positions) + 1) * item.size > len(data):
        raise MalformedProgram(f"the tensor {name[:80]!r} reaches beyond its record of {len(data)} bytes")
    if dtype == "bfloat16":
        wide = struct.Struct("<f")
        codes = (item.unpack_from(data, position * item.size)[0] for position in positions)
        return tuple([wide.unpack((upper << 16).to_bytes(4, "little"))[0] for upper in codes])
    return tuple([float(item.unpack_from(data, position * item.size)[0]) for position in positions])


def _positions(offset: int, layout: list[tuple[int, int]], budget: Budget) -> list[int]:
    """Where the elements are, counted from the start of the storage; as many as the budget has left."""
    positions = [offset]
    for size, stride in layout:
        # A stride of 0 would name any number of values with few bytes.
        if len(positions) * size > MAX_QPARAM_VALUES:
            raise OverBudget(f"{MAX_QPARAM_VALUES} scales, zero points and small constants")
        positions = [start + index * stride for start in positions for index in range(size)]
    budget.qparam_values(len(positions))
    return positions
