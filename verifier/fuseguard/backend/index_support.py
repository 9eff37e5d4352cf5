"""Which ops that read an index tensor the backend leaves on the CPU, for what their index is.

Source: ``IndexTensorSupported``, ``GatherSupported`` and ``IndexSelectSupported`` (operator_support/) of ExecuTorch
1.2.0, 1.3.1, 1.4.1 and 1.5.1, which agree but for the rank of an index tensor. Arm's quantizer casts an index that is
an input or a buffer to int32 (``InsertInt32CastsAfterInt64PlaceholdersPass``). It does not cast one that the program
makes itself, as with ``torch.zeros(..., dtype=torch.int64)``, nor that of the ``index_select`` which the edge dialect
makes of a ``roll``.

Rules that depend on it: those of partition.
"""

from __future__ import annotations

from typing import Any

from fuseguard.backend.releases import INDEXES_BY_RANK_FOUR
from fuseguard.ir import Node, View
from fuseguard.ir.graph import TensorMeta
from fuseguard.target import Target


def refuses_index(view: View, node: Node, target: Target) -> bool:
    """Whether a support check rejects ``node`` for its index. False for ops without one, and where it is not known."""
    if node.target == "aten.index.Tensor":
        return _refuses_index_tensors(view, node, target)
    if node.kind == "roll":
        return True
    if node.kind not in ("gather", "index") or node.operator not in ("gather", "index_select"):
        return False
    index = _meta(view, node.arg(2, "index"))
    if index is None:
        return False
    if index.dtype != "int32":
        return True
    return index.rank != 1 if node.operator == "index_select" else _refuses_gather(view, node, index)


def _refuses_index_tensors(view: View, node: Node, target: Target) -> bool:
    """An index after a dimension that is taken whole (``x[:, i]``); before 1.3 also one of rank 4 or more."""
    indices = node.arg(1, "indices", ())
    if not isinstance(indices, tuple):
        return False
    if None in indices:
        return True
    found = [_meta(view, index) for index in indices]
    return not INDEXES_BY_RANK_FOUR.in_force(target) and any(meta.rank > 3 for meta in found if meta is not None)


def _refuses_gather(view: View, node: Node, index: TensorMeta) -> bool:
    """What CanonicalizeGatherPass does not take: another dimension than the second, and shapes that do not fit."""
    data, dim = _meta(view, node.arg(0, "self")), node.arg(1, "dim")
    if data is None or not isinstance(dim, int):
        return False
    if dim % max(data.rank, 1) != 1 or not {data.rank, index.rank} <= {2, 3}:
        return True
    return (index.rank == 3 and data.shape[-1] != index.shape[-1]) or data.shape[0] != index.shape[0]


def _meta(view: View, value: Any) -> TensorMeta | None:
    node = view.graph.node_of(value)
    return None if node is None else node.meta
