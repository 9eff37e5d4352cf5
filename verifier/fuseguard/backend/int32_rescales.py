"""What the backend computes in int32, at which scales, and which quantize ops it leaves out between two such ops.

Sources: ``InsertRescaleInt32Pass._get_inputs_rescaled_qparams`` and ``_get_output_qparams``, the same in ExecuTorch
1.2.0 to 1.5.1; ``FuseConsecutiveRescalesPass``, the same in 1.3.1 to 1.5.1; ``RewriteConvPass.
_insert_a16w8_output_branches`` of 1.5.1.

Rules that depend on it: OP701, OP706, OP707, OP708, OP710, OP727, PL405, and those of int32_bounds and integer_forms
and permute_moves and quantized_operands and rescales and rewrites and value_range.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from fuseguard.backend import decompose_clamp
from fuseguard.backend.anchor_forms import anchor_form
from fuseguard.backend.per_view import once_per_view
from fuseguard.backend.releases import FUSES_RESCALES, WIDENS_CONVS
from fuseguard.ir.graph import Node
from fuseguard.ir.ops import Trait
from fuseguard.ir.qparams import QParams
from fuseguard.ir.value import Value
from fuseguard.ir.view import Island, View
from fuseguard.target import Target

#: Both operands are brought to twice the larger scale, with 20 (int8) or 12 (int16) bits to spare.
SUMS = ("add", "sub")
#: The result is one of the operands, or its magnitude.
PICKS = ("maximum", "minimum", "abs")
#: The result is bool, and gets no RESCALE.
COMPARISONS = ("eq", "ge", "gt", "le", "lt")
#: Both operands of these are brought to the smaller of their scales, without bits to spare.
AT_SMALLEST_SCALE = frozenset(("maximum", "minimum", *COMPARISONS))
TARGETS = frozenset((*SUMS, *PICKS, *COMPARISONS, "mul", "sum"))

#: How near to 1 the product of two rescales must be (_try_fuse_identity_pair).
_IDENTITY = 1e-6


class Bypass(Value, frozen=True):
    """``reader`` reads the result of ``producer`` in int32, where it has ``scale``, and not the codes of ``q``.

    ``path`` names the nodes that are left out, from ``q`` to the DQ that ``reader`` would read.
    """

    producer: Node
    q: Node
    reader: Node
    scale: float
    path: tuple[str, ...]


def computes_in_int32(node: Node) -> bool:
    """Whether InsertRescaleInt32Pass puts RESCALEs around a node, if its operands are quantized."""
    if node.kind == "sum" and not node.target.startswith(("aten.sum.dim_IntList", "aten.sum.default")):
        return False
    return node.kind in TARGETS and node.annotated


def operands(view: View, node: Node) -> list[QParams] | None:
    """The qparams of a node's tensor operands; None if the pass does not touch the node."""
    if not computes_in_int32(node):
        return None
    found = [view.in_qp(node, place) for place in range(1 if node.kind in ("abs", "sum") else 2)]
    known = [q for q in found if q is not None and q.usable and q.dtype in ("int8", "int16")]
    return known if len(known) == len(found) else None


def operand_scale(view: View, node: Node, operand: QParams) -> float | None:
    """The scale to which one operand of ``node`` is brought in int32."""
    inputs = operands(view, node)
    return common_scale(node, inputs, operand) if inputs else None


def common_scale(node: Node, inputs: Sequence[QParams], operand: QParams) -> float:
    """The scale to which ``operand``, one of ``inputs``, is brought in int32: its own for ``mul`` and ``sum``."""
    scales = [qparams.scale for qparams in inputs]
    if node.kind in SUMS:
        return 2 * max(scales) / (1 << (12 if inputs[0].dtype == "int16" else 20))
    if node.kind in PICKS or node.kind in COMPARISONS:
        return min(scales)
    return operand.scale


def result_scale(view: View, node: Node) -> float | None:
    """The scale of the int32 result of ``node``; None for comparisons and ops that the pass does not touch."""
    if node.kind in COMPARISONS:
        return None
    inputs = operands(view, node)
    if not inputs:
        return None
    return scale_of_result(node, inputs)


def scale_of_result(node: Node, inputs: Sequence[QParams]) -> float:
    """The scale of what ``node`` computes in int32 from operands with these qparams."""
    if node.kind == "mul":
        return math.prod(qparams.scale for qparams in inputs)
    return common_scale(node, inputs, inputs[0])


@once_per_view
def fused_rescales(view: View) -> tuple[Bypass, ...]:
    """Ops that work in int32 and read one another directly, where the RESCALEs between them cancel out."""
    return tuple(_fused_rescales(view))


def _fused_rescales(view: View) -> Iterator[Bypass]:
    for producer in view.calls(Trait.ARITHMETIC):
        scale = result_scale(view, producer)
        if scale is None or not math.isfinite(scale):
            continue
        for q in view.out_q(producer):
            between = view.qparams(q)
            if between is None or not between.usable or between.dtype not in ("int8", "int16"):
                continue
            for dq, reader in view.code_readers(q):
                wanted = operand_scale(view, reader, between)
                # In this order, as the pass computes it.
                if wanted and abs(scale / between.scale * (between.scale / wanted) - 1.0) < _IDENTITY:
                    yield Bypass(producer, q, reader, wanted, (q.name, dq.name))


def int32_readers(view: View, island: Island) -> tuple[list[Bypass], list[Node]]:
    """Who reads the codes of an int16 convolution: ops that work in int32, also after one permute, and all others.

    Both are empty for other anchors. Decomposition puts a view or a cat after those of another form, which
    RewriteConvPass does not look through.
    """
    anchor, data = island.anchor, view.in_qp(island.anchor, 0)
    if data is None or data.dtype != "int16" or anchor.kind != "conv" or not anchor.annotated:
        return [], []
    if view.in_dq(anchor, 1) is None or anchor_form(view, anchor) != "direct":
        return [], []
    wide: list[Bypass] = []
    others: dict[str, Node] = {}
    for q in view.out_q(anchor):
        for dq, reader in view.code_readers(q):
            if (bypass := _bypass(view, anchor, q, (q, dq), reader)) is not None:
                wide.append(bypass)
                continue
            beyond = [
                (further, (q, dq, reader, again, after))
                for again in (view.out_q(reader) if reader.kind == "permute" else [])
                for after, further in view.code_readers(again)
            ]
            found = {node.name: _bypass(view, anchor, q, path, node) for node, path in beyond}
            if any(found.values()):
                wide += [bypass for bypass in found.values() if bypass is not None]
                others |= {node.name: node for node, _ in beyond if found[node.name] is None}
            else:
                others[reader.name] = reader
    return wide, list(others.values())


def bypasses(view: View, target: Target) -> list[Bypass]:
    """All quantize ops that the target's release leaves out, in no order. They are the same in every profile."""
    found = list(fused_rescales(view)) if FUSES_RESCALES.in_force(target) else []
    if WIDENS_CONVS.in_force(target):
        for island in view.islands:
            found += int32_readers(view, island)[0]
    return found


def _bypass(view: View, anchor: Node, q: Node, path: tuple[Node, ...], reader: Node) -> Bypass | None:
    between = view.qparams(path[-1])
    scale = operand_scale(view, reader, between) if between is not None and between.usable else None
    return Bypass(anchor, q, reader, scale, tuple(node.name for node in path)) if scale else None


def compared(view: View, node: Node) -> list[QParams]:
    """The qparams of the quantized operands that a node brings to the smallest of their scales; [] for other nodes."""
    if node.kind in AT_SMALLEST_SCALE and node.annotated:
        found = [view.in_qp(node, position) for position in (0, 1)]
        return [item for item in found if item is not None and item.usable]
    return list(decompose_clamp.compared(view, node))


def smallest_scales(view: View) -> dict[str, float]:
    """By name of an op that compares its quantized operands: the smallest scale, if they have several."""
    found = {}
    for node in view.calls(Trait.ARITHMETIC):
        scales = {item.scale for item in compared(view, node)}
        if len(scales) > 1:
            found[node.name] = min(scales)
    return found
