"""Which means of floats a delegate rounds to the scale of the codes before them.

Source: ``DecomposeMeanDimPass`` (ExecuTorch 1.2.0 to 1.5.1, ``_reduce_by_sum``), which takes a mean for a quantized one
wherever it reads a dequantize op, and puts a Q and a DQ of N times that scale after its sum. ``to_edge`` makes such a
mean of an adaptive average pool to one element, ``DecomposeVarPass`` one of a variance, and ``DecomposeLayerNormPass``
one of a layer norm. An op between the dequantize op and the mean prevents it.

Rules that depend on it: QP307, and those of integer_forms and partition.
"""

from __future__ import annotations

import math

from fuseguard.ir import Node, View
from fuseguard.ir.ops import CASTS

#: Adaptive pools of which the edge dialect makes a mean. It puts views around one in one dimension, and keeps the ops
#: of edge programs.
_POOLS = frozenset(("adaptive_avg_pool2d", "adaptive_avg_pool3d"))
#: Kinds that are a mean, or begin with one.
_MEANS = frozenset(("mean", "var", "std"))


def is_made_a_mean(node: Node) -> bool:
    """Whether ``node`` is an adaptive average pool to one element, of which the edge dialect makes a mean."""
    if node.operator not in _POOLS or node.meta is None:
        return False
    return all(size == 1 for size in node.meta.shape[-3 if "3d" in node.operator else -2 :])


def rounded_mean(view: View, node: Node) -> Node | None:
    """The dequantize op to whose scale a delegate rounds the mean in ``node``; None if it computes the mean in float.

    ``node`` is an op that is left in float. Whether it is delegated is not asked. Every release does it.
    """
    if node.annotated or not _averages(view, node):
        return None
    dq = _dequantized(view, node)
    if dq is None:
        return None
    rounds_last = node.kind == "mean" or is_made_a_mean(node)
    return None if rounds_last and _is_read_as_codes(view, node, dq) else dq


def _averages(view: View, node: Node) -> bool:
    """Whether the edge dialect or a pass makes a mean of several values of it."""
    source = view.producer(node)
    if source is None or source.meta is None or node.meta is None:
        return False
    if node.kind == "layer_norm":
        shape = node.arg(1, "normalized_shape", ())
        sizes = [size for size in shape if isinstance(size, int)] if isinstance(shape, tuple) else []
        return math.prod(sizes) > 1 and shape == tuple(sizes)
    if node.kind not in _MEANS and not is_made_a_mean(node):
        return False
    return math.prod(size or 2 for size in source.meta.shape) > math.prod(size or 2 for size in node.meta.shape)


def _dequantized(view: View, node: Node) -> Node | None:
    """The per-tensor dequantize op that the edge program has in front of ``node``.

    Export and ``to_edge`` leave out a cast to the dtype that a value has, ``contiguous`` and a slice of all.
    """
    source = view.producer(node)
    while source is not None and source.op == "call" and not view.is_dq(source):
        before = view.producer(source)
        if before is None or source.meta is None or source.meta != before.meta:
            return None
        if source.operator not in CASTS and source.operator != "contiguous" and source.kind != "slice":
            return None
        source = before
    if source is None or source.op != "call" or "per_channel" in source.target:
        return None
    return source


def _is_read_as_codes(view: View, node: Node, dq: Node) -> bool:
    """Whether the mean is rounded to the same codes anyway."""
    users = view.users(node)
    return bool(users) and all(view.is_q(user) and view.qparams(user) == view.qparams(dq) for user in users)
