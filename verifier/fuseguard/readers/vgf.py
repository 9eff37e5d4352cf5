"""Reads a VGF file: what a delegate of Arm's VGF backend holds, and what model-converter writes.

The header is that of the VGF library (src/header.hpp), the sections are FlatBuffers of schema/vgf.fbs, with fields
numbered as there. The section of the constants is not read. tests/readers/test_vgf.py compares with vgf_dump.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from fuseguard.ir.layout import dim_order_of
from fuseguard.ir.vgf import SharedValue, VgfProgram, VgfTensor
from fuseguard.readers.budget import Budget
from fuseguard.readers.flatbuffer import MalformedBuffer, Table, root
from fuseguard.readers.spirv import GraphModule, read_graph

MAGIC = b"VGF1"
# Of each kind: a model of 5,000 operators is one segment with some dozen tensors in its interface.
MAX_ENTRIES = 65_536
MAX_RANK = 64

_HEADER = struct.Struct("<4sHHBBB5x8Q")  # magic, Vulkan version, reserved, format version, four (offset, size)
_HEADER_SIZE = 128

# Module, SPIRV, ModelResourceTableEntry, Description, ModelSequenceTable, SegmentInfo, BindingSlot
_MODULE_TYPE, _CODE_TYPE, _CODE = 0, 3, 4
_FORMAT, _DESCRIPTION = 1, 3
_SHAPE, _STRIDES = 0, 1
_SEGMENTS, _INPUTS, _OUTPUTS, _INPUT_NAMES, _OUTPUT_NAMES = 0, 1, 2, 3, 4
_SEGMENT_TYPE, _MODULE_INDEX, _SEGMENT_INPUTS, _SEGMENT_OUTPUTS = 0, 2, 4, 5
_SPIRV = 1  # of the union ModuleCode
_TYPES = ("COMPUTE", "GRAPH")

#: VkFormat by number, of the element types that TOSA has (vulkan_core.h).
FORMATS: Mapping[int, str] = {
    13: "R8_UINT", 14: "R8_SINT", 74: "R16_UINT", 75: "R16_SINT", 76: "R16_SFLOAT", 98: "R32_UINT", 99: "R32_SINT",
    100: "R32_SFLOAT", 110: "R64_UINT", 111: "R64_SINT", 112: "R64_SFLOAT", 1000460000: "R8_BOOL_ARM",
    1000460001: "R16_SFLOAT_FPENCODING_BFLOAT16_ARM", 1000460002: "R8_SFLOAT_FPENCODING_FLOAT8E4M3_ARM",
    1000460003: "R8_SFLOAT_FPENCODING_FLOAT8E5M2_ARM",
}  # fmt: skip


#: Shape, format and dim order of a resource.
_Tensor: TypeAlias = "tuple[tuple[int, ...], str, tuple[int, ...] | None]"


def read_vgf(buffer: bytes | memoryview, budget: Budget) -> VgfProgram:
    """Interface and graphs of a VGF file. Raises MalformedBuffer, OverBudget."""
    if len(buffer) < _HEADER_SIZE or buffer[:4] != MAGIC:
        raise MalformedBuffer("it does not have the header of a VGF file")
    _, _, _, major, minor, patch, *places = _HEADER.unpack_from(buffer, 0)
    modules, sequence, resources, _ = (
        _section(buffer, offset, size) for offset, size in zip(places[::2], places[1::2], strict=True)
    )
    tensors = [_tensor(item, budget) for item in root(resources).tables(0, MAX_ENTRIES)]
    graphs = [_module(item, budget) for item in root(modules).tables(0, MAX_ENTRIES)]
    table = root(sequence)
    inputs, outputs = _slots(table, _INPUTS), _slots(table, _OUTPUTS)
    positions = {resource: position for position, (_, resource) in enumerate(outputs)}
    segments: Counter[str] = Counter()
    ops: Counter[str] = Counter()
    shared: list[SharedValue] = []
    passed_on: set[int] = set()
    for segment in table.tables(_SEGMENTS, MAX_ENTRIES):
        segments[_named(segment.scalar(_SEGMENT_TYPE, "B"))] += 1
        module = segment.scalar(_MODULE_INDEX, "I")
        graph = graphs[module] if module < len(graphs) else None
        if graph is None:
            continue
        ops.update(graph.ops)
        place = dict(_slots(segment, _SEGMENT_OUTPUTS))
        given = set(graph.inputs.values())
        by_value: dict[int, list[int]] = {}
        for binding, value in graph.outputs.items():
            if binding in place:
                by_value.setdefault(value, []).append(place[binding])
        for value, several in by_value.items():
            if len(several) > 1:
                places_of = tuple(sorted(positions[item] for item in several if item in positions))
                shared.append(SharedValue(places_of, tuple(sorted(several))))
            if value in given:
                passed_on.update(positions[item] for item in several if item in positions)
    return VgfProgram(
        (major, minor, patch),
        _interface(table, _INPUT_NAMES, inputs, tensors, budget),
        _interface(table, _OUTPUT_NAMES, outputs, tensors, budget),
        dict(segments),
        dict(ops),
        tuple(shared),
        tuple(sorted(passed_on)),
    )


def _section(buffer: bytes | memoryview, offset: int, size: int) -> memoryview:
    if offset + size > len(buffer):
        raise MalformedBuffer("a section reaches beyond the end")
    return memoryview(buffer)[offset : offset + size]


def _slots(table: Table, number: int) -> list[tuple[int, int]]:
    """Pairs of binding and place in the resource table."""
    return [(slot.scalar(0, "I"), slot.scalar(1, "I")) for slot in table.tables(number, MAX_ENTRIES)]


def _tensor(item: Table, budget: Budget) -> _Tensor:
    description = item.table(_DESCRIPTION)
    shape = description.longs(_SHAPE, MAX_RANK) if description is not None else ()
    # No strides mean a packed tensor: in VkTensorDescriptionARM (VK_ARM_tensors), too, where they are pStrides.
    strides = description.longs(_STRIDES, MAX_RANK) if description is not None else ()
    order = dim_order_of(shape, strides) if strides else tuple(range(len(shape)))
    budget.tosa(200 + 8 * len(shape))
    number = item.scalar(_FORMAT, "I")
    return shape, FORMATS.get(number, f"VkFormat {number}"), order


def _module(item: Table, budget: Budget) -> GraphModule | None:
    """The graph of a module; None for a shader, and for one whose code is not in the file."""
    code = item.table(_CODE) if item.scalar(_CODE_TYPE, "B") == _SPIRV else None
    if code is None or item.scalar(_MODULE_TYPE, "B") >= len(_TYPES) or not item.scalar(_MODULE_TYPE, "B"):
        return None
    words = code.words(0, budget.spirv_words_left)
    budget.spirv(len(words))
    return read_graph(words)


def _interface(
    table: Table,
    names: int,
    slots: Sequence[tuple[int, int]],
    tensors: Sequence[_Tensor],
    budget: Budget,
) -> tuple[VgfTensor, ...]:
    texts = table.texts(names, MAX_ENTRIES)
    budget.tosa(sum(200 + len(text) for text in texts))
    found = []
    for position, (binding, resource) in enumerate(slots):
        if resource >= len(tensors):
            raise MalformedBuffer("the model has an input or output that is not in the resource table")
        name = texts[position] if position < len(texts) else ""
        found.append(VgfTensor(name, binding, *tensors[resource]))
    return tuple(found)


def _named(number: int) -> str:
    return _TYPES[number].lower() if number < len(_TYPES) else f"type {number}"
