"""Which as_strided ops the backend takes, and which of these it cannot lower.

Source: ``AsStridedCopySupported`` and ``DecomposeAsStridedCopyPass`` of ExecuTorch 1.2.0, 1.4.1 and 1.5.1. The check
takes an op whose strides are those of a contiguous tensor of its size and that begins at the first element. It does not
compare the numbers of elements. The pass makes a view of the op, which fails if the operand has more elements.

Rules that depend on it: those of partition and unlowered_forms.
"""

from __future__ import annotations

import math

from fuseguard.ir import Node, View
from fuseguard.ir.graph import Arg

#: What the op is called in ATen and in the edge dialect.
AS_STRIDED = ("as_strided", "as_strided_copy")


def refuses_strides(node: Node) -> bool:
    """Whether the support check rejects an as_strided; False for other ops."""
    if node.kind not in AS_STRIDED:
        return False
    size, stride = _known(node.arg(1, "size")), _known(node.arg(2, "stride"))
    if size is None or stride is None or len(size) != len(stride) or node.arg(3, "storage_offset") not in (None, 0):
        return True
    contiguous = [math.prod(size[place + 1 :]) for place in range(len(size))]
    if size and stride[-1] < contiguous[-1]:
        return True
    found = list(zip(size, stride, contiguous, strict=True))[:-1]
    return any(dim != 1 and given != wanted for dim, given, wanted in found)


def takes_part(view: View, node: Node) -> tuple[int, int] | None:
    """How many elements an as_strided yields and how many its operand has, if these are two numbers."""
    data, size = view.producer(node), _known(node.arg(1, "size"))
    if node.kind not in AS_STRIDED or data is None or data.meta is None or None in data.meta.shape or size is None:
        return None
    taken, given = math.prod(size), math.prod(dim or 0 for dim in data.meta.shape)
    return (taken, given) if taken != given else None


def _known(arg: Arg) -> tuple[int, ...] | None:
    parts = arg if isinstance(arg, tuple) else ()
    known = tuple(part for part in parts if isinstance(part, int))
    return known if isinstance(arg, tuple) and len(known) == len(parts) else None
