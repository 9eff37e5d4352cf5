"""Where the backend moves the permutes of ops that are computed in NHWC.

Source: ``PropagateViewCopyPermuteUpPass`` of ExecuTorch 1.4.1 and 1.5.1.

Rules that depend on it: OP708.
"""

from __future__ import annotations

from fuseguard.backend.elementwise import (
    CHANNELS_LAST,
    LONGEST_CHAIN,
    has_one_operand,
    producer_of,
    readers_of,
    tensor_operand,
)
from fuseguard.backend.partition import stays_outside
from fuseguard.ir import Node, Trait, View
from fuseguard.target import Target


def moved_down_to(view: View, node: Node, target: Target) -> Node | None:
    """The op whose permute comes down to ``node``: above it, with nothing but elementwise ops between.

    On its way it is split for several readers if it passes through each of them.
    """
    current = node
    for _ in range(LONGEST_CHAIN):
        operand = tensor_operand(view, current)
        producer = producer_of(view, operand) if operand is not None else None
        if producer is None or producer.op != "call" or stays_outside(view, producer, target):
            return None
        readers = readers_of(view, producer)
        if len(readers) > 1 and not all(_passes_on(view, reader, target) for reader in readers):
            return None
        if producer.kind in CHANNELS_LAST or producer.kind == "permute":
            return producer
        if not has_one_operand(view, producer):
            return None
        current = producer
    return None


def _passes_on(view: View, reader: Node, target: Target) -> bool:
    """Whether a permute moves on through what reads it: an elementwise op, or the RESCALE in front of an op in int32.

    With float support also through the DQ at a delegate's end. Through a pad it goes where it meets the permutes of
    what is computed in NHWC, which it cancels out (RemovePermutesAroundElementwiseOps).
    """
    if reader.op == "output":
        return target.has_float
    if reader.kind == "pad":
        return _meets_nhwc(view, reader)
    return has_one_operand(view, reader) or (reader.info.has(Trait.ARITHMETIC) and reader.kind != "sum")


def _meets_nhwc(view: View, node: Node) -> bool:
    """Whether all that ``node`` comes to, with nothing but elementwise ops and pads between, is computed in NHWC."""
    pending, seen = [node], {node.name}
    while pending and len(seen) < LONGEST_CHAIN:
        readers = readers_of(view, pending.pop())
        between = [reader for reader in readers if reader.kind not in CHANNELS_LAST]
        if not readers or not all(reader.kind == "pad" or has_one_operand(view, reader) for reader in between):
            return False
        pending += [reader for reader in between if reader.name not in seen]
        seen |= {reader.name for reader in between}
    return not pending


def moved_up_to(view: View, node: Node, target: Target) -> Node | None:
    """The op whose permute comes up to ``node``, likewise."""
    current = node
    for _ in range(LONGEST_CHAIN):
        readers = readers_of(view, current)
        if len(readers) != 1:
            return None
        reader = readers[0]
        if stays_outside(view, reader, target):
            return None
        if reader.kind in CHANNELS_LAST or reader.kind == "permute":
            return reader
        if not has_one_operand(view, reader):
            return None
        current = reader
    return None
