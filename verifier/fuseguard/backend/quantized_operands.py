"""The operands of ops that the backend checks for quantization. The PL rules share it.

Source: ``CheckProperQuantization`` and ``FoldAndAnnotateQParamsPass`` of ExecuTorch 1.2.0, 1.3.1, 1.4.1 and 1.5.1.

Rules that depend on it: OP723, PL401, PL402, PL403, PL404, PL406, and those of computed_weights and leaked_codes.
"""

from __future__ import annotations

from fuseguard.backend.int32_rescales import AT_SMALLEST_SCALE
from fuseguard.backend.proper_quantization import is_targeted, is_unlisted
from fuseguard.ir import Node, Trait, View, lookup
from fuseguard.ir.ops import KINDS
from fuseguard.ir.value import Value

_FLOAT_FOR_CERTAIN = Trait.MAC | Trait.CONSTANT

#: Decompositions put fewer ops than this between a DQ and the op it feeds.
_LONGEST_WAY = 8

#: Ops with data and a weight, of which one alone may be quantized. An addmm or mm is a decomposed linear.
ANCHORS = ("conv", "linear", "addmm", "matmul")

#: Ops with several tensors in one arithmetic that CheckProperQuantization does not look at: those that bring them to
#: one scale in int32, the clamp that becomes two of these, and those of a list.
_UNCHECKED = AT_SMALLEST_SCALE | {"clamp_tensor", *(kind for kind in KINDS if lookup(kind).has(Trait.LIST_INPUT))}


def is_checked(node: Node) -> bool:
    """Whether the INT profile takes the node between DQ and Q at most."""
    return is_targeted(node) or is_unlisted(node)


def is_unchecked(node: Node) -> bool:
    """Whether the node combines tensors in one arithmetic, and the INT profile takes it whatever these are."""
    return node.kind in _UNCHECKED


def is_float(node: Node) -> bool:
    return node.meta is not None and node.meta.is_float


def float_operands(view: View, node: Node) -> list[Node]:
    """The distinct float tensors that a node computes with, in argument order."""
    return [producer for producer in view.graph.inputs(node) if is_float(producer)]


def quantized_source(view: View, node: Node | None, *, folded: bool = False) -> tuple[Node, ...] | None:
    """The nodes from ``node`` back to the DQ it comes from through value-transparent ops; None if there is none.

    ``folded``: through annotated ops alone. The others are computed in float, and no pass folds the DQ in front of one.
    """
    path: list[Node] = []
    while node is not None and len(path) < _LONGEST_WAY:
        path.append(node)
        if view.is_dq(node):
            return tuple(path)
        if (
            node.op != "call"
            or not node.info.has(Trait.TRANSPARENT)
            or not node.args
            or (folded and not node.annotated)
        ):
            return None
        node = view.producer(node)
    return None


class HalfQuantized(Value, frozen=True):
    """An anchor with one of data and weight quantized; ``between`` are the ops between it and the DQ."""

    anchor: Node
    weight_only: bool
    between: tuple[Node, ...]


def half_quantized(view: View, node: Node) -> HalfQuantized | None:
    """What is quantized of a convolution or linear, also one decomposed to addmm or mm; None if both or neither."""
    if node.kind not in ANCHORS or not node.annotated:
        return None
    first = 1 if node.kind == "addmm" else 0
    if len(node.args) < first + 2:
        return None
    data, weight = (view.graph.node_of(node.args[first + place]) for place in (0, 1))
    if data is None or weight is None or (node.kind == "matmul" and weight.kind != "permute"):
        return None
    data_source, weight_source = quantized_source(view, data), quantized_source(view, weight)
    if (data_source is None) == (weight_source is None):
        return None
    source = data_source or weight_source or ()
    if data_source is None and not (is_float(data) and _is_float_for_certain(data)):
        return None
    between = tuple(item for item in source if not view.is_dq(item))
    return HalfQuantized(node, data_source is None, between)


def _is_float_for_certain(producer: Node) -> bool:
    """False for annotated ops with operands: in an edge program these may hand on codes within one decomposed op.

    The edge dialect gives the annotation of an op to the constant that it makes of a number, too.
    """
    return producer.op != "call" or not producer.annotated or producer.info.has(_FLOAT_FOR_CERTAIN)


def float_peers(view: View, node: Node) -> tuple[list[Node], list[Node]]:
    """The float operands of a node, split into dequantized ones and those that are float for certain."""
    quantized, plain = [], []
    for producer in float_operands(view, node):
        if quantized_source(view, producer, folded=True) is not None:
            quantized.append(producer)
        elif _is_float_for_certain(_origin(view, producer)):
            plain.append(producer)
    return quantized, plain


def is_mixed_put(view: View, node: Node) -> bool:
    """Whether an index_put writes codes into a float tensor, such as a buffer, or floats into codes."""
    return node.kind == "index_put" and node.annotated and all(float_peers(view, node))


def _origin(view: View, node: Node) -> Node:
    """Where the values of ``node`` come from, through the data movement that a decomposed op has in front of it."""
    for _ in range(_LONGEST_WAY):
        source = view.producer(node) if node.op == "call" and node.args else None
        if source is None or not node.annotated or not node.info.has(Trait.TRANSPARENT):
            return node
        node = source
    return node
