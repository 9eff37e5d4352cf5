"""The bounds of activations."""

from __future__ import annotations

import math

from fuseguard.ir.graph import Arg, Node


def activation_bounds(node: Node) -> tuple[float, float]:
    """Lower and upper bound of an activation, infinite where it has none.

    Source: aten schemas of relu, relu6, hardtanh (defaults -1 and 1), clamp, clamp_min and clamp_max. A bound
    that is a tensor is unknown; it is returned as NaN.
    """
    name = node.operator.removesuffix("_")
    if name == "relu":
        return 0.0, math.inf
    if name == "relu6":
        return 0.0, 6.0
    if name == "hardtanh":
        return _bound(node.arg(1, "min_val", -1.0), -1.0), _bound(node.arg(2, "max_val", 1.0), 1.0)
    if name == "clamp_min":
        return _bound(node.arg(1, "min"), -math.inf), math.inf
    if name == "clamp_max":
        return -math.inf, _bound(node.arg(1, "max"), math.inf)
    return _bound(node.arg(1, "min"), -math.inf), _bound(node.arg(2, "max"), math.inf)


def _bound(arg: Arg, missing: float) -> float:
    if arg is None:
        return missing
    return float(arg) if isinstance(arg, int | float) else math.nan
