"""Where a view to rank 0 is left, of which ``InsertConstShapesPass`` makes a ``CONST_SHAPE`` without dimensions.

Source: ``InsertConstShapesPass``, the passes that end in a view (``DecomposeSumPass``, ``ConvertMinMaxPass``,
``DecomposeAnyPass``, ``DecomposeMeanDimPass``, ``DecomposeSelectPass``, ``ConvertSqueezesToViewPass``), those that
merge it with a later one (``FuseViewCopyTransformPass``, ``PropagateViewCopyPermuteDownPass``), and exir's
``EdgeOpArgValidator``, of ExecuTorch 1.4.1 and 1.5.1. 1.2 makes no CONST_SHAPE of a view, and 1.3 checks none.

Rules that depend on it: OP712.
"""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.fuse_identical_inputs import passed_by_views
from fuseguard.backend.partition import stays_outside
from fuseguard.backend.releases import MOVES_RANK_ZERO_VIEWS
from fuseguard.ir import Node, View
from fuseguard.ir.walks import beyond_quantizers
from fuseguard.target import Target

#: What the backend lowers to ops of its own, with a view after them where the result has rank 0, by kind.
_END_IN_VIEW = frozenset(("all", "amax", "amin", "any", "mean", "select", "squeeze", "sum", "var", "view"))

#: Of these, the edge dialect makes a sum or a mean of all elements. Arm's quantizer knows none of them.
_REDUCED_IN_FLOAT = frozenset((
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "dot", "huber_loss", "l1_loss", "mse_loss",
    "smooth_l1_loss", "soft_margin_loss", "trace", "vdot",
))  # fmt: skip

#: What begins with a view of its operand, or is one: it is merged with the view right in front of it.
_BEGIN_WITH_VIEW = frozenset(("expand", "stack", "unsqueeze", "view", "where"))


def views_to_rank_zero(view: View, target: Target) -> Iterator[Node]:
    """The ops that yield a value of rank 0 by a view that no pass merges with another one."""
    if view.graph.name:
        return  # the verifier does not look into the bodies of a delegate's control flow
    for node in view.ops:
        if node.kind == "one_hot":
            yield node  # its assertions end in any, in the edge dialect
        if node.kind not in _END_IN_VIEW or not _loses_all_dims(view, node):
            continue
        if _is_taken(view, node, target) and not _is_merged(view, node, target):
            yield node


def reduced_in_float(view: View) -> Iterator[Node]:
    """The ops of rank 0 of which the edge dialect makes a reduction; it is delegated where floats are lowered."""
    if view.graph.name:
        return
    for node in view.of_kind(*_REDUCED_IN_FLOAT):
        if _loses_all_dims(view, node):
            yield node


def only_asserted(view: View, node: Node) -> bool:
    """Whether nothing but assertions depends on a value, through ops that leave its shape alone."""
    pending, seen = list(view.users(node)), {node.name}
    while pending:
        item = pending.pop()
        if item.kind == "_assert_async" or item.name in seen:
            continue
        if item.kind not in ("logical_not", "clone"):
            return False
        seen.add(item.name)
        pending += view.users(item)
    return True


def _loses_all_dims(view: View, node: Node) -> bool:
    operand = view.producer(node)
    return (
        node.meta is not None
        and node.meta.rank == 0
        and operand is not None
        and operand.meta is not None
        and operand.meta.rank > 0
    )


def _is_taken(view: View, node: Node, target: Target) -> bool:
    """Whether the op is delegated: none that yields int64 is."""
    if node.meta is None or node.meta.dtype in ("int64", "float64"):
        return False
    return not stays_outside(view, node, target)


def _is_merged(view: View, node: Node, target: Target) -> bool:
    """Whether all that reads the value is a view in the end, with nothing between that keeps the two apart."""
    if MOVES_RANK_ZERO_VIEWS.in_force(target):
        return all(_gets_dims(view, reader) for reader in beyond_quantizers(node, view.users))
    if node.kind == "sum" and view.out_q(node):
        return False  # a RESCALE from int32 follows it
    passed = passed_by_views(view, target)
    while True:
        readers = list(beyond_quantizers(node, view.users))
        if all(reader.kind in _BEGIN_WITH_VIEW for reader in readers):
            return True
        # The views of a mean and of a reshape are there early enough to move past arithmetic with numbers.
        moves = node.kind == "view" or node.name in passed
        if not (moves and len(readers) == 1 and readers[0].name in passed):
            return False
        node = readers[0]


def _gets_dims(view: View, reader: Node) -> bool:
    """Whether what is computed from the value has dimensions before it leaves the delegate."""
    pending, seen = [reader], set()
    while pending:
        item = pending.pop()
        if item.name in seen or (item.meta is not None and item.meta.rank > 0):
            continue
        readers = list(beyond_quantizers(item, view.users))
        if not readers:
            return False  # an output or an assertion
        seen.add(item.name)
        pending += readers
    return True
