"""Which ops the partitioner keeps whole, as the lookup tables that they would be if they were quantized.

``TOSAPartitioner.ops_to_not_decompose`` takes an op for quantized if it stands between dequantize and quantize ops,
whatever its annotation says. ``FoldAndAnnotateQParamsPass`` and ``InsertTableOpsPass`` ask for the annotation. Without
it, an op of these is left that the lists of both profiles have, and that no pass and no visitor lowers.

Source: ``tosa/partitioner.py`` and ``_passes/insert_table_ops.py`` of ExecuTorch 1.2.0, 1.3.1, 1.4.1 and 1.5.1.

Rules that depend on it: PL404.
"""

from __future__ import annotations

from fuseguard.ir import Node, View

#: Of the ops that are kept whole between DQ and Q, those that ON_FP has and that are lowered as a table alone.
#: What writes in place is one of them: the program is made functional before the partitioner is asked.
TABLES_ALONE = frozenset(("hardsigmoid", "hardswish"))


def is_kept_whole(view: View, node: Node) -> bool:
    """Whether an op that has no form in float is kept whole, since a DQ is before it and nothing but Q after it."""
    users = view.users(node)
    return (
        node.kind in TABLES_ALONE
        and all(map(view.is_dq, view.graph.inputs(node)))
        and bool(users)
        and all(map(view.is_q, users))
    )
