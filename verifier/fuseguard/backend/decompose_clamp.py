"""What the backend makes of a clamp whose bounds are tensors: ``minimum(maximum(x, lower), upper)``.

Source: ``DecomposeTOSAUnsupportedClampPass``, the same in ExecuTorch 1.2.0, 1.3.1, 1.4.1 and 1.5.1. It runs before
FoldAndAnnotateQParamsPass, so the two ops have neither Q nor DQ between them, and InsertRescaleInt32Pass does not
know the scale of the value that ``minimum`` reads. From 1.5 on the fold leaves an op alone that has the qparams of
one operand only, if floats are supported (``_has_partial_binary_tensor_qdq_inputs``).

Rules that depend on it: OP715, and those of int32_rescales.
"""

from __future__ import annotations

from fuseguard.backend.releases import KEEPS_PARTIAL_QDQ
from fuseguard.ir import Node, QParams, View
from fuseguard.ir.value import Value
from fuseguard.target import Target

#: What the op table calls such a clamp.
KIND = "clamp_tensor"


class TensorClamp(Value, frozen=True):
    """An annotated clamp all of whose tensors are dequantized: the DQs of its data and of its bounds."""

    node: Node
    data: Node
    lower: Node | None
    upper: Node | None
    qparams: tuple[QParams, ...]

    @property
    def chained(self) -> bool:
        """Whether the pass makes two ops of it."""
        return self.lower is not None and self.upper is not None


def tensor_clamp(view: View, node: Node) -> TensorClamp | None:
    """``node`` as a clamp of codes by codes; None for other ops and where a tensor is in float."""
    if node.kind != KIND or not node.annotated:
        return None
    only = "clamp_min" if "clamp_min" in node.target else "clamp_max" if "clamp_max" in node.target else ""
    lower = None if only == "clamp_max" else node.arg(1, "min")
    upper = node.arg(1, "max") if only == "clamp_max" else None if only else node.arg(2, "max")
    tensors = [view.graph.node_of(arg) for arg in (node.arg(0, "self"), lower, upper)]
    read = [tensor for tensor in tensors if tensor is not None]
    known = [qparams for tensor in read if (qparams := view.qparams(tensor)) is not None and qparams.usable]
    data = tensors[0]
    if data is None or len(known) != len(read) or len(read) < 2:
        return None
    return TensorClamp(node, data, tensors[1], tensors[2], tuple(known))


def scale_before_minimum(clamp: TensorClamp) -> float:
    """The scale of the int32 value that ``maximum`` hands on, where there are two ops."""
    return min(qparams.scale for qparams in clamp.qparams[:2])


def keeps_half(clamp: TensorClamp, target: Target) -> bool:
    """Whether the fold leaves the Q and DQ of ``minimum`` where floats are supported, so that the Q gets codes."""
    return clamp.chained and KEEPS_PARTIAL_QDQ.in_force(target)


def mistakes_scale(clamp: TensorClamp, result: QParams | None) -> bool:
    """Whether taking the value for one at the upper bound's scale changes a code of ``result``.

    Scales that differ by less than half a step over the whole range do no harm, as two observers of the same values
    have them.
    """
    if not clamp.chained:
        return False
    ratio = abs(scale_before_minimum(clamp) / clamp.qparams[2].scale - 1.0)
    codes = result if result is not None and result.usable else clamp.qparams[0]
    return ratio * max(abs(codes.qmin - codes.zero_point), abs(codes.qmax - codes.zero_point)) >= 0.5


def compared(view: View, node: Node) -> tuple[QParams, ...]:
    """The qparams that a clamp's tensors are brought to one scale from; () where the scales are not all known."""
    clamp = tensor_clamp(view, node)
    return () if clamp is None or mistakes_scale(clamp, view.out_qp(node)) else clamp.qparams
