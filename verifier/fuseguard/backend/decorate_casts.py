"""Which casts of floats to integers round to the nearest number, where torch drops the fraction.

Source: ``DecorateFp32toInt32CastingPass`` and ``ToCopySupported`` of ExecuTorch 1.2.0, 1.3.1, 1.4.1 and 1.5.1. The TOSA
CAST of a float rounds to the nearest integer. The pass drops the fraction before a cast of float32 to int32, and before
no other one. Casts to uint8 and int64 stay on the CPU.

Rules that depend on it: DT511.
"""

from __future__ import annotations

from fuseguard.backend.value_range import reach_on
from fuseguard.ir import Node, View
from fuseguard.ir.ops import CASTS
from fuseguard.target import Target

_ROUNDED = frozenset(("int8", "int16", "int32"))
_INTEGRAL = frozenset(("ceil", "floor", "round", "trunc"))


def rounding_cast(view: View, node: Node, target: Target) -> Node | None:
    """What a cast reads if it is a float that may have a fraction and whose fraction is not dropped, else None."""
    if node.meta is None or node.meta.dtype not in _ROUNDED or node.operator not in CASTS:
        return None
    data = view.producer(node)
    if data is None or data.meta is None or not data.meta.is_float or _is_integral(view, data, target):
        return None
    if (data.meta.dtype, node.meta.dtype) == ("float32", "int32"):
        return None
    return data


def _is_integral(view: View, data: Node, target: Target) -> bool:
    """Whether every value is certain to be an integer: an op rounds it, its scale is one, or it is always the same."""
    if data.kind in _INTEGRAL:
        return True
    qparams = view.qparams(data) if view.is_dq(data) else None
    if qparams is not None and qparams.usable and all(scale.is_integer() for scale in qparams.scales):
        return True
    low, high = reach_on(view, target).of(data)
    return low == high and low.is_integer()
