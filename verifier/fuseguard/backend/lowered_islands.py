"""What a delegate's TOSA shows of its islands: whether an activation is still there, and which outputs are one tensor.

An activation that is fused to a convolution is in the TOSA either as a CLAMP after the RESCALE, or as the saturation
of that RESCALE where its bound is the first or last code. This looks for both in the finished flatbuffer, so it knows
no release. What it cannot find again it leaves alone.

Source: ``FuseQuantizedActivationPass``, ``RewriteConvPass`` and ``FuseDuplicateUsersPass`` of 1.5.1 and 1.2.0. Rules
that depend on it: PG807, PG808.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from fuseguard.ir.activations import activation_bounds
from fuseguard.ir.graph import Node, Ref
from fuseguard.ir.tosa import TosaOp, TosaProgram
from fuseguard.ir.view import Island, View

_MAC = ("CONV2D", "CONV3D", "DEPTHWISE_CONV2D", "TRANSPOSE_CONV2D")
#: Their first input's codes are those of the output.
_MOVERS = ("TRANSPOSE", "RESHAPE", "IDENTITY", "SLICE", "REVERSE")
_LIMITS = {"INT8": (-128, 127), "INT16": (-32768, 32767)}
# RESCALE: input, multiplier, shift, input_zp, output_zp (TOSA 1.0, RESCALE)
_MULTIPLIER, _SHIFT, _OUTPUT_ZP = 1, 2, 4
# Narrow ranges saturate one code late by design (FU103), and bounds are rounded.
_TOLERANCE = 1
_FAR = 256  # operators that are followed from one convolution


@dataclass(frozen=True, slots=True)
class LostBound:
    """An activation whose bound is missing: ``tensor`` reaches the code ``limit``, past the bound's ``code``."""

    island: Island
    bound: float
    code: int
    limit: int
    tensor: str


@dataclass(frozen=True, slots=True)
class MergedOutputs:
    """Two outputs with different qparams that are one ``tensor``."""

    first: Node
    second: Node
    tensor: str


@dataclass(frozen=True, slots=True)
class _Codes:
    """What a RESCALE makes: the limits of its dtype, its zero point and its scale (None if it is not known)."""

    low: int
    high: int
    zero_point: int
    scale: float | None


def lost_bounds(view: View, tosa: TosaProgram) -> Iterator[LostBound]:
    """Every activation of an island of the delegate that its TOSA computes without."""
    for island, op in _matched(view, tosa):
        if island.activation is None:
            continue
        low, high = activation_bounds(island.activation)
        if math.isnan(low) or math.isnan(high):
            continue
        for tensor, codes, clamp in _ends(view, island, op, tosa):
            lost = _missing(low, high, codes, clamp)
            if lost is not None:
                yield LostBound(island, *lost, tensor)
                break


def _missing(low: float, high: float, codes: _Codes, clamp: tuple[int, int] | None) -> tuple[float, int, int] | None:
    """The bound that is missing, its code and the code that is reached instead."""
    least, most = codes.low, codes.high
    if clamp is not None:
        least, most = max(least, clamp[0]), min(most, clamp[1])
    first, last = _code(low, codes), _code(high, codes)
    if first is not None and first - least > _TOLERANCE:
        return low, first, least
    if last is not None and most - last > _TOLERANCE:
        return high, last, most
    return None


def _code(bound: float, codes: _Codes) -> int | None:
    """The code of an activation's bound, also one that its dtype does not have; None where there is none to compare."""
    if bound == 0:
        return codes.zero_point
    steps = bound / codes.scale if codes.scale else math.inf
    return codes.zero_point + round(steps) if abs(steps) < 2**32 else None


def _matched(view: View, tosa: TosaProgram) -> Iterator[tuple[Island, TosaOp]]:
    """The islands with the operator that computes each, known by a constant that both name and no other does."""
    by_constant: dict[str, list[TosaOp]] = {}
    for op in tosa.ops:
        if op.kind in _MAC:
            for name in op.inputs[1:3]:
                by_constant.setdefault(name, []).append(op)
    claimed: dict[int, list[Island]] = {}
    found: dict[int, TosaOp] = {}
    for island in view.islands:
        ops = {id(op): op for name in _constants(view, island.anchor) for op in by_constant.get(name, ())}
        if len(ops) == 1:
            [(key, op)] = ops.items()
            found[key] = op
            claimed.setdefault(key, []).append(island)
    for key, islands in claimed.items():
        if len(islands) == 1:  # a constant that two islands share tells neither
            yield islands[0], found[key]


def _constants(view: View, anchor: Node) -> Iterator[str]:
    """How the backend may call the weight and the bias of ``anchor`` in the flatbuffer."""
    yield f"{anchor.name}_weight_ohwi"
    for arg in anchor.args:
        node = view.graph.node_of(arg) if isinstance(arg, Ref) else None
        while node is not None and node.op == "call" and node.args and (view.is_dq(node) or node.kind == "permute"):
            node = view.producer(node)
        if node is not None and node.op == "placeholder" and node.constant:
            yield node.name


def _ends(
    view: View, island: Island, op: TosaOp, tosa: TosaProgram
) -> Iterator[tuple[str, _Codes, tuple[int, int] | None]]:
    """Where the codes of the island's result are used: the tensor, what codes it has, and the CLAMP before it."""
    pending: list[tuple[str, _Codes | None]] = [(name, None) for name in op.outputs[:1]]
    for _ in range(_FAR):
        if not pending:
            return
        tensor, codes = pending.pop()
        readers = tosa.readers.get(tensor, ())
        if codes is not None and (tensor in tosa.outputs or not readers):
            yield tensor, codes, None
        for reader in readers:
            outputs = reader.outputs[:1]
            if reader.inputs[:1] != (tensor,) or not outputs:
                if codes is not None:
                    yield tensor, codes, None
            elif reader.kind == "CLAMP":
                if codes is not None and reader.bounds is not None:
                    yield tensor, codes, reader.bounds
            elif reader.kind in _MOVERS:
                pending.append((outputs[0], codes))
            elif codes is None:
                made = _rescaled(view, island, reader, tosa) if reader.kind == "RESCALE" else None
                if made is not None:
                    pending.append((outputs[0], made))
            else:
                yield tensor, codes, None


def _rescaled(view: View, island: Island, rescale: TosaOp, tosa: TosaProgram) -> _Codes | None:
    made = tosa.tensors.get(rescale.outputs[0])
    if made is None or made.dtype not in _LIMITS or len(rescale.inputs) <= _OUTPUT_ZP:
        return None  # int32, for an op that rescales it once more
    quantizer = view.qparams(island.output_q) if island.output_q is not None else None
    if quantizer is None or quantizer.dtype not in ("int8", "int16"):
        return None  # TOSA keeps uint8 in int8 tensors
    constants = [tosa.tensors.get(rescale.inputs[place]) for place in (_MULTIPLIER, _SHIFT, _OUTPUT_ZP)]
    multiplier, shift, zero_point = (item.values if item is not None else None for item in constants)
    if not zero_point:
        return None
    low, high = _LIMITS[made.dtype]
    factor = multiplier[0] / 2.0 ** shift[0] if multiplier and shift and 0 <= shift[0] < 64 else 0.0
    return _Codes(low, high, zero_point[0], _scale(view, island, factor))


def _scale(view: View, island: Island, factor: float) -> float | None:
    """That of the codes which a RESCALE by ``factor`` makes of the first channel's accumulators."""
    data, weight = view.in_qp(island.anchor, 0), view.in_qp(island.anchor, 1)
    if data is None or weight is None or not data.scales or not weight.scales or factor <= 0:
        return None
    return data.scales[0] * weight.scales[0] / factor


def merged_outputs(view: View, tosa: TosaProgram) -> Iterator[MergedOutputs]:
    """Outputs with different qparams that are one tensor of the flatbuffer."""
    end = next((node for node in reversed(view.graph.nodes.values()) if node.op == "output"), None)
    made = [view.graph.node_of(ref) for ref in end.refs()] if end is not None else []
    if len(made) != len(tosa.outputs):
        return  # the backend has other outputs than the program; which is which is not known
    first: dict[str, Node] = {}
    for node, tensor in zip(made, tosa.outputs, strict=True):
        before = first.setdefault(tensor, node) if node is not None else None
        if node is None or before is None or before is node:
            continue
        ours, theirs = view.qparams(node), view.qparams(before)
        if ours is not None and theirs is not None and ours != theirs:
            yield MergedOutputs(before, node, tensor)
