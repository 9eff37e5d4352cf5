"""Which values ops that work in int32 can yield, and how far a quantize op between two of them moves these values.

Source: ``InsertRescaleInt32Pass`` and ``FuseConsecutiveRescalesPass`` of ExecuTorch 1.2.0 to 1.5.1, through
:mod:`fuseguard.backend.int32_rescales`; the bounds are arithmetic.

Rules that depend on it: OP701, OP706, OP710.
"""

from __future__ import annotations

import math

from fuseguard.backend.int32_rescales import (
    AT_SMALLEST_SCALE,
    PICKS,
    SUMS,
    Bypass,
    fused_rescales,
    operand_scale,
    operands,
    result_scale,
)
from fuseguard.backend.per_view import once_per_view
from fuseguard.backend.rewrites import standing_apart
from fuseguard.backend.value_range import Reach
from fuseguard.engine import Rewrite
from fuseguard.engine.rewrite import Edit
from fuseguard.ir import Node, QParams, View

_INT32 = 2.0**31

#: A scale this near a multiple of another one lands on the other's grid.
_MULTIPLE = 1e-6


def rounds(view: View, bypass: Bypass) -> bool:
    """Whether the quantize op that is left out has anything to round: values off its grid."""
    between = view.qparams(bypass.q)
    inputs = operands(view, bypass.producer)
    scale = result_scale(view, bypass.producer)
    if between is None or not inputs or scale is None:
        return True
    # A sum's terms are on the grids of its operands; all else is a multiple of the scale in int32.
    grids = [qparams.scale for qparams in inputs] if bypass.producer.kind in (*SUMS, "sum") else [scale]
    return not all(_is_multiple(grid, between.scale) for grid in grids)


def excess(view: View, bypass: Bypass, reach: Reach) -> float:
    """How far the producer's values reach beyond what the codes of the quantize op that is left out can hold.

    Half a step beyond either end counts as rounding; what the reader does not tell apart, as nothing.
    """
    between, values = view.qparams(bypass.q), reach.of(bypass.producer)
    if between is None:
        return 0.0
    low, high = _told_apart(view, bypass, reach)
    most = max(between.low - values[0] if low else 0.0, values[1] - between.high if high else 0.0)
    return most if most > between.scale / 2 * (1 + _MULTIPLE) else 0.0


def overflows(view: View, bypass: Bypass, reach: Reach, most: float | None = None) -> bool:
    """Whether a product leaves int32 because its operand is not saturated to the codes of a quantize op.

    ``most``: the operand's largest magnitude, if ``reach`` does not know it.
    """
    reader = bypass.reader
    most = max(map(abs, reach.of(bypass.producer))) if most is None else most
    if reader.kind != "mul":
        return False
    others = [place for place in (0, 1) if not _reads(view, reader, place, bypass.q)]
    other = view.in_dq(reader, others[0]) if len(others) == 1 else None
    qparams = view.qparams(other) if other is not None else None
    if other is None or qparams is None:
        codes = most / bypass.scale if not others else math.inf
    elif bypass.producer.kind == "sum" and _is_one_stored_number(view, other):
        return False  # a mean: 1/N, whose codes are not read, makes up for the N terms of the sum
    else:
        codes = max(map(abs, reach.of(other))) / qparams.scale
    return most / bypass.scale * codes >= _INT32


def _is_one_stored_number(view: View, dq: Node) -> bool:
    source = view.producer(dq)
    stored = source is not None and source.op != "call" and source.meta is not None
    return stored and source is not None and source.meta is not None and all(size == 1 for size in source.meta.shape)


def _told_apart(view: View, bypass: Bypass, reach: Reach) -> tuple[bool, bool]:
    """Whether the reader's result depends on how far a value is below, and above, the codes of the quantize op."""
    reader, between = bypass.reader, view.qparams(bypass.q)
    if reader.kind not in AT_SMALLEST_SCALE or between is None:
        return True, True
    others = [place for place in (0, 1) if not _reads(view, reader, place, bypass.q)]
    other = view.in_dq(reader, others[0]) if len(others) == 1 else None
    if other is None:
        return True, True
    low, high = reach.of(other)
    if reader.kind == "maximum":
        return low < between.low, True
    if reader.kind == "minimum":
        return True, high > between.high
    return low <= between.low, high >= between.high


def held_apart(view: View, producer: Node, reader: Node) -> Rewrite | None:
    """A view on each way from ``producer`` to ``reader``: the RESCALEs on its sides stay two."""
    edits: list[Edit] = []
    for bypass in _ways(view).get((producer.name, reader.name), ()):
        rewrite = standing_apart(view, reader, view.graph[bypass.path[-1]])
        edits.extend(rewrite.edits if rewrite is not None else ())
    return Rewrite(tuple(edits)) if edits else None


@once_per_view
def _ways(view: View) -> dict[tuple[str, str], list[Bypass]]:
    """By producer and reader, the ways between the two."""
    ways: dict[tuple[str, str], list[Bypass]] = {}
    for bypass in fused_rescales(view):
        ways.setdefault((bypass.producer.name, bypass.reader.name), []).append(bypass)
    return ways


def error_bound(view: View, bypass: Bypass, reach: Reach) -> int | None:
    """By how many steps the result of the reader is off at most if it reads past the quantize op.

    None where no bound is known: comparisons, sums, products of the value with itself, results in float.
    """
    first, second, q = bypass.producer, bypass.reader, bypass.q
    between, inputs = view.qparams(q), operands(view, second)
    out = view.out_qp(second)
    if between is None or not inputs or out is None or not out.usable:
        return None
    # What is not rounded and what is not saturated, and what rounding the operands of maximum and minimum to the
    # finest of their scales adds.
    error = max(between.scale / 2 if rounds(view, bypass) else 0.0, excess(view, bypass, reach))
    error += _coarseness(first, operands(view, first) or [], result_scale(view, first))
    others = [place for place in range(len(inputs)) if not _reads(view, second, place, q)]
    if second.kind == "mul" and others:
        factor = view.in_dq(second, others[0])
        error *= max(map(abs, reach.of(factor))) if factor is not None else math.inf
    elif second.kind in SUMS:
        error *= len(inputs) - len(others)
    elif second.kind not in PICKS:
        return None
    error += _coarseness(second, [inputs[place] for place in others], operand_scale(view, second, between))
    steps = out.qmax - out.qmin
    off = error / out.scale
    return min(math.floor(off) + 1, steps) if math.isfinite(off) else steps


def _is_multiple(scale: float, of: float) -> bool:
    ratio = scale / of
    return round(ratio) >= 1 and abs(ratio - round(ratio)) < _MULTIPLE * ratio


def _reads(view: View, node: Node, place: int, q: Node) -> bool:
    dq = view.in_dq(node, place)
    return dq is not None and bool(dq.args) and view.producer(dq) is q


def _coarseness(node: Node, rounded: list[QParams], scale: float | None) -> float:
    """How far the result moves by rounding operands to int32 of ``scale``; negligible but for maximum and the like."""
    return scale / 2 if scale and node.kind in PICKS and any(q.scale != scale for q in rounded) else 0.0
