"""Which reductions of numbers that are no codes the backend takes although TOSA has none for their dtype.

Read in ExecuTorch 1.2.0, 1.3.1, 1.4.1 and 1.5.1. The support lists have cumsum, sum, prod, amax and amin whatever the
dtype; CheckInt64InputsAndOutputs keeps int64 off the accelerator. DecomposeCumsumPass makes a depthwise convolution,
with a kernel of the dtype that it reads; the others become REDUCE_SUM, REDUCE_PRODUCT, REDUCE_MAX and REDUCE_MIN. torch
casts to the dtype of the result before it adds up; the passes drop that argument.

Rules that depend on it: DT510.
"""

from __future__ import annotations

from fuseguard.ir import Node, View

#: The case of a reduction by kind.
_CASES = {"cumsum": "cumsum", "sum": "sum", "prod": "prod", "amax": "extreme", "amin": "extreme"}


def raw_reduction(view: View, node: Node) -> tuple[str, str]:
    """The case of a reduction that TOSA does not have for the dtype that it reads, and that dtype; "" twice if it has.

    A cumulative sum of any integers is one, and a sum, product or extreme of bools, a product of integers as well.
    """
    case, data = _CASES.get(node.kind, ""), view.producer(node)
    if not case or data is None or data.meta is None or node.meta is None or view.is_dq(data):
        return "", ""
    read = data.meta.dtype
    if data.meta.is_float or "int64" in (read, node.meta.dtype) or (read != "bool" and case in ("sum", "extreme")):
        return "", ""
    return case, read
