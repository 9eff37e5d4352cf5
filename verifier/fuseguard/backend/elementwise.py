"""Chains of ops that work element by element on one tensor. The backend moves views and permutes through them.

Source: ``PropagateViewCopyPermuteUpPass`` and ``PropagateViewCopyPermuteDownPass`` of ExecuTorch 1.4.1 and 1.5.1.

Rules that depend on it: OP708, OP709, OP711, and those of fuse_identical_inputs and permute_moves.
"""

from __future__ import annotations

from fuseguard.ir import Node, Trait, View
from fuseguard.ir.walks import beyond_quantizers, is_quantizer

#: A chain of elementwise ops is followed this far; a hostile graph need not end.
LONGEST_CHAIN = 32
_ELEMENTWISE = Trait.UNARY | Trait.ACTIVATION | Trait.ARITHMETIC
#: Elementwise ops that none of the traits stands for.
_BY_ELEMENT = frozenset(("neg", "clone"))
#: The backend computes these in NHWC, with a permute on either side.
CHANNELS_LAST = frozenset({
    "conv", "max_pool2d", "max_pool2d_with_indices", "avg_pool2d", "adaptive_avg_pool2d", "upsample_nearest2d",
    "upsample_bilinear2d",
})  # fmt: skip


def has_one_operand(view: View, node: Node) -> bool:
    """Whether a node works element by element on one tensor, numbers aside."""
    if node.op != "call" or node.kind == "sum":
        return False
    elementwise = node.info.has(_ELEMENTWISE) or node.kind in _BY_ELEMENT
    return elementwise and tensor_operand(view, node) is not None


def tensor_operand(view: View, node: Node) -> Node | None:
    """The one tensor operand of a node that is not a single number; None if there are several."""
    tensors = [item for item in view.graph.inputs(node) if item.meta is not None and item.meta.is_float]
    larger = [item for item in tensors if item.meta is not None and any(size != 1 for size in item.meta.shape)]
    return larger[0] if len(larger) == 1 else None


def producer_of(view: View, value: Node) -> Node | None:
    """The producer of a value, through its DQ and Q; of one part of a pool's result the pool."""
    node: Node | None = value
    while node is not None and hands_on(node) and node.args:
        node = view.producer(node)
    return node


def readers_of(view: View, node: Node) -> list[Node]:
    """Who reads the result of a node, through its Q and DQ."""
    return list(beyond_quantizers(node, view.users, hands_on))


def hands_on(node: Node) -> bool:
    """Whether the node stands between an op and what reads its result: a Q, a DQ or a part of several results."""
    return is_quantizer(node) or node.info.has(Trait.GETITEM)
