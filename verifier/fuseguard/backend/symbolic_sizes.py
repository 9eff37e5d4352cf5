"""Which ops with a dynamic size the backend takes and then makes views or slices of, whose sizes TOSA has to compute.

Source: ``SymbolicShapeSupportCheck`` (operator_support/tosa_supported_operators.py), ``DecomposeLinearPass``,
``DecomposeGroupedConvPass``, ``DecomposeCumsumPass``, ``DecomposeSelectPass``, ``ResolveViewCopyInferredDimPass``,
``RewriteIndexPutPass``, ``ConvertFullLikeToFullPass`` and ``SymbolicToTosaShapesPass`` of ExecuTorch 1.5.1. The check
rejects ops that are given a size, and some that are known to need one; what a pass makes of an op later on it does not
ask. Where that has a dynamic size among its arguments, the target needs the TOSA extension shape. From 1.3.0 to 1.5.0
the check rejects every dynamic size, and 1.2.0, which has no such check, lowers these ops. All of them were judged one
by one on 1.5.1.

Rules that depend on it: OP718.
"""

from __future__ import annotations

from fuseguard.backend.partition import computes_nothing, stays_outside
from fuseguard.backend.per_view import once_per_view
from fuseguard.ir import Node, View
from fuseguard.ir.graph import Arg
from fuseguard.target import Target

#: The TOSA extension that computes with sizes.
EXTENSION = "shape"

#: Constants that take their shape from their operand.
_LIKE = frozenset(("full_like", "ones_like", "zeros_like"))
#: Ops whose operand's batch the export to the edge dialect fixes.
_SPLITS = frozenset(("split", "chunk"))
_REDUCTIONS = frozenset(("sum", "amax", "amin"))


def becomes_view(view: View, node: Node, target: Target) -> str:
    """What the backend makes of an op with a dynamic size that needs TOSA's shape ops; "" if it needs none."""
    if EXTENSION in target.extensions or not _is_dynamic(view, view.producer(node)):
        return ""
    if node.kind == "linear":
        return "a view to four dimensions"
    if node.kind == "conv":
        data = view.producer(node)
        if data is not None and data.meta is not None and data.meta.rank == 3:
            return "a view to four dimensions"
        return "slices of its input" if 1 < view.groups(node) < _channels(view, node) else ""
    if node.kind == "cumsum":
        return "a view to four dimensions"
    if node.kind == "index_put":
        return "a scatter into a flattened tensor"
    if node.kind in _SPLITS:
        return "slices of its input" if _is_dynamic_beyond_batch(view.producer(node)) else ""
    if makes_constant(node):
        return "" if stays_outside(view, node, target) else "a constant of its operand's size"
    if node.kind in _REDUCTIONS:
        return "" if node.arg(2, "keepdim", False) is True else "a view without the reduced dimension"
    if node.kind == "select" or node.target.startswith("aten.index_select"):
        return "a view of what is selected"
    inferred = node.kind == "view" and _infers(node.arg(1, "size"))
    lowered = inferred and not all(computes_nothing(view, other, target) for other in view.ops)
    return "a view to an inferred size" if lowered else ""


def makes_constant(node: Node) -> bool:
    """Whether an op is a constant in the shape of its operand. masked_fill is decomposed into one and a where."""
    return node.kind == "full" and node.operator in _LIKE


def _is_dynamic_beyond_batch(node: Node | None) -> bool:
    """Whether a dimension is dynamic after the first one, which a split has fixed by the time that it is lowered."""
    return node is not None and node.meta is not None and None in node.meta.shape[1:]


def _is_dynamic(view: View, node: Node | None) -> bool:
    if node is None or node.meta is None:
        return False
    return None in node.meta.shape[1 if node.name in _fixed_batches(view) else 0 :]


@once_per_view
def _fixed_batches(view: View) -> frozenset[str]:
    """The names of the values whose dynamic batch is fixed: what is split, and what shares the batch with that.

    Two ops may have other dynamic sizes in front, such as those of two inputs that nothing joins.
    """
    pending = [item for op in view.ops if op.kind in _SPLITS and (item := view.producer(op)) is not None]
    found: set[str] = set()
    while pending:
        item = pending.pop()
        if item.name not in found and item.meta is not None and item.meta.shape[:1] == (None,):
            found.add(item.name)
            pending += [*view.graph.inputs(item), *view.users(item)]
    return frozenset(found)


def _channels(view: View, conv: Node) -> int:
    data = view.producer(conv)
    return (data.meta.shape[1] or 0) if data is not None and data.meta is not None and data.meta.rank > 1 else 0


def _infers(sizes: Arg) -> bool:
    """Whether one size is to be inferred, and none is computed: an op that is given a size stays on the CPU."""
    return isinstance(sizes, tuple) and -1 in sizes and all(isinstance(size, int) for size in sizes)
