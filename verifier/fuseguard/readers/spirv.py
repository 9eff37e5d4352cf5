"""Reads what a SPIR-V module of VK_ARM_data_graph computes: its TOSA operators and what its outputs are.

Opcodes are those of SPV_ARM_graph and of the SPIR-V specification, numbers of operators those of the extended
instruction set TOSA.001000.1, which has the order of the TOSA schema.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from fuseguard.readers.flatbuffer import MalformedBuffer
from fuseguard.readers.tosa import OPERATORS

_MAGIC = 0x07230203
_HEADER = 5
_EXT_INST_IMPORT, _EXT_INST, _CONSTANT, _DECORATE = 11, 12, 43, 71
_GRAPH_ENTRY_POINT, _GRAPH, _GRAPH_INPUT, _GRAPH_SET_OUTPUT = 4182, 4183, 4184, 4185
_BINDING = 33


@dataclass
class GraphModule:
    """One SPIR-V module. ``inputs`` and ``outputs`` are ids by binding; ``outputs`` in the order of the graph."""

    ops: Counter[str] = field(default_factory=Counter)
    inputs: dict[int, int] = field(default_factory=dict)
    outputs: dict[int, int] = field(default_factory=dict)


def read_graph(words: Sequence[int]) -> GraphModule:
    """The graph of a SPIR-V module of 32-bit words. Raises MalformedBuffer."""
    if len(words) < _HEADER or words[0] != _MAGIC:
        raise MalformedBuffer("a module is not SPIR-V of this machine's byte order")
    sets: dict[int, str] = {}
    constants: dict[int, int] = {}
    bindings: dict[int, int] = {}
    interface: Sequence[int] = ()
    given: list[tuple[int, int]] = []  # (id of the value, id of its index)
    yielded: list[tuple[int, int]] = []
    found = GraphModule()
    for op, operands in _instructions(words):
        if op == _EXT_INST_IMPORT and len(operands) > 1:
            sets[operands[0]] = _literal(operands[1:])
        elif op == _EXT_INST and len(operands) > 3 and sets.get(operands[2], "").startswith("TOSA."):
            number = operands[3] + 1  # the schema starts with UNKNOWN
            found.ops[OPERATORS[number] if number < len(OPERATORS) else f"UNKNOWN_{number}"] += 1
        elif op == _CONSTANT and len(operands) == 3:
            constants[operands[1]] = operands[2]
        elif op == _DECORATE and len(operands) == 3 and operands[1] == _BINDING:
            bindings[operands[0]] = operands[2]
        elif op == _GRAPH_ENTRY_POINT and len(operands) > 1:
            interface = operands[1 + _words_of_literal(operands[1:]) :]
        elif op == _GRAPH:
            given, yielded = [], []
        elif op == _GRAPH_INPUT and len(operands) > 2:
            given.append((operands[1], operands[2]))
        elif op == _GRAPH_SET_OUTPUT and len(operands) > 1:
            yielded.append((operands[0], operands[1]))
    # The interface of an entry point lists the variables of the inputs, then those of the outputs.
    for ids, variables, kept in (
        (given, interface[: len(given)], found.inputs),
        (yielded, interface[len(given) :], found.outputs),
    ):
        for order, (value, index) in enumerate(ids):
            place = constants.get(index, order)
            if place < len(variables) and variables[place] in bindings:
                kept[bindings[variables[place]]] = value
    return found


def _instructions(words: Sequence[int]) -> Iterator[tuple[int, Sequence[int]]]:
    at = _HEADER
    while at < len(words):
        length = words[at] >> 16
        if not length or at + length > len(words):
            raise MalformedBuffer("an instruction of a SPIR-V module reaches beyond its end")
        yield words[at] & 0xFFFF, words[at + 1 : at + length]
        at += length


def _words_of_literal(words: Sequence[int]) -> int:
    """How many words a string takes that starts here."""
    for number, word in enumerate(words):
        if any(not (word >> shift) & 0xFF for shift in (0, 8, 16, 24)):
            return number + 1
    raise MalformedBuffer("a string of a SPIR-V module has no end")


def _literal(words: Sequence[int]) -> str:
    size = _words_of_literal(words[:64])
    data = b"".join(word.to_bytes(4, "little") for word in words[:size])
    return data.split(b"\0", 1)[0].decode("utf-8", "replace")
