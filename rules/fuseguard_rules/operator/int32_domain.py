"""The scales that InsertRescaleInt32Pass gives the int32 operands and results of element-wise ops.

Source: ``InsertRescaleInt32Pass._get_inputs_rescaled_qparams`` and ``_get_output_qparams``, the same in ExecuTorch
1.2.0 to 1.5.1.
"""

from __future__ import annotations

import math

from fuseguard.ir import Node, QParams, View

_SUMS = ("add", "sub")
_PICKS = ("maximum", "minimum", "abs")
_COMPARES = ("eq", "ge", "gt", "le", "lt")
_TARGETS = frozenset((*_SUMS, *_PICKS, *_COMPARES, "mul", "sum"))

_Range = tuple[float, float]


def operands(view: View, node: Node) -> list[QParams] | None:
    """The qparams of a node's tensor operands; None if the pass does not touch the node."""
    if node.kind not in _TARGETS or not node.annotated:
        return None
    if node.kind == "sum" and not node.target.startswith("aten.sum.dim_IntList"):
        return None
    found = [view.in_qp(node, place) for place in range(1 if node.kind in ("abs", "sum") else 2)]
    known = [q for q in found if q is not None and q.known and not q.per_channel and q.dtype in ("int8", "int16")]
    return known if len(known) == len(found) else None


def operand_scale(view: View, node: Node, operand: QParams) -> float | None:
    """The scale to which one operand of ``node`` is brought in int32."""
    inputs = operands(view, node)
    if not inputs:
        return None
    scales = [qparams.scale for qparams in inputs]
    if node.kind in _SUMS:
        return 2 * max(scales) / (1 << (12 if inputs[0].dtype == "int16" else 20))
    if node.kind in _PICKS or node.kind in _COMPARES:
        return min(scales)
    return operand.scale


def result_scale(view: View, node: Node) -> float | None:
    """The scale of the int32 result of ``node``; None for comparisons and ops that the pass does not touch."""
    if node.kind in _COMPARES:
        return None
    inputs = operands(view, node)
    if not inputs:
        return None
    if node.kind == "mul":
        return math.prod(qparams.scale for qparams in inputs)
    return operand_scale(view, node, inputs[0])


def result_range(view: View, node: Node) -> _Range | None:
    """The least and the greatest value that ``node`` can yield for the codes of its operands."""
    inputs = operands(view, node)
    if not inputs or node.kind in _COMPARES:
        return None
    first, second = (inputs[0].low, inputs[0].high), (inputs[-1].low, inputs[-1].high)
    if node.kind == "add":
        return first[0] + second[0], first[1] + second[1]
    if node.kind == "sub":
        return first[0] - second[1], first[1] - second[0]
    if node.kind == "mul":
        corners = [a * b for a in first for b in second]
        return min(corners), max(corners)
    if node.kind == "sum":
        terms = _summed(view, node)
        return None if terms is None else (terms * first[0], terms * first[1])
    if node.kind == "abs":
        return max(first[0], -first[1], 0.0), max(abs(first[0]), abs(first[1]))
    pick = max if node.kind == "maximum" else min
    return pick(first[0], second[0]), pick(first[1], second[1])


def error_bound(view: View, first: Node, q: Node, second: Node) -> int | None:
    """By how many steps the result of ``second`` is off at most if it reads ``first`` past the quantize op ``q``.

    None where no bound is known: comparisons, sums, products of the value with itself, results in float.
    """
    between, values, inputs = view.qparams(q), result_range(view, first), operands(view, second)
    quantizers = view.out_q(second)
    out = view.qparams(quantizers[0]) if quantizers else None
    if between is None or values is None or not inputs or out is None or not out.known or out.per_channel:
        return None
    # What is not rounded and what is not saturated, and what rounding the operands of maximum and minimum to the
    # finest of their scales adds.
    error = max(between.scale / 2, values[1] - between.high, between.low - values[0])
    error += _coarseness(first, operands(view, first) or [], result_scale(view, first))
    others = [qparams for place, qparams in enumerate(inputs) if not _reads(view, second, place, q)]
    if second.kind == "mul" and others:
        error *= max(abs(others[0].low), abs(others[0].high))
    elif second.kind in _SUMS:
        error *= len(inputs) - len(others)
    elif second.kind not in _PICKS:
        return None
    error += _coarseness(second, others, operand_scale(view, second, between))
    return min(math.floor(error / out.scale) + 1, out.qmax - out.qmin)


def _reads(view: View, node: Node, place: int, q: Node) -> bool:
    dq = view.in_dq(node, place)
    return dq is not None and bool(dq.args) and view.graph.node_of(dq.args[0]) is q


def _coarseness(node: Node, rounded: list[QParams], scale: float | None) -> float:
    """How far the result moves by rounding operands to int32 of ``scale``; negligible but for maximum and the like."""
    return scale / 2 if scale and node.kind in _PICKS and any(q.scale != scale for q in rounded) else 0.0


def _summed(view: View, node: Node) -> int | None:
    """How many values each element of a sum adds up."""
    data = view.graph.node_of(node.args[0]) if node.args else None
    if data is None or data.meta is None or node.meta is None:
        return None
    sizes = (*data.meta.shape, *node.meta.shape)
    if any(size is None for size in sizes):
        return None
    count = math.prod(size or 0 for size in data.meta.shape)
    return count // max(math.prod(size or 0 for size in node.meta.shape), 1)
