"""Evaluates small graphs in float32 as torch does, without torch: what a range is held against."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fuseguard.ir import Graph, Node, QParams, Ref, View, activation_bounds

Array: TypeAlias = npt.NDArray[Any]

_erf = np.vectorize(math.erf, otypes=[np.float32])
_UNARY: dict[str, Callable[[Array], Array]] = {
    "atan": np.arctan, "ceil": np.ceil, "cos": np.cos, "erf": _erf, "exp": np.exp, "expm1": np.expm1,
    "floor": np.floor, "log": np.log, "log1p": np.log1p, "neg": np.negative, "abs": np.abs, "round": np.round,
    "reciprocal": np.reciprocal, "rsqrt": lambda x: np.reciprocal(np.sqrt(x)), "sign": np.sign, "sinh": np.sinh,
    "sigmoid": lambda x: np.reciprocal(1 + np.exp(-x)), "sqrt": np.sqrt, "tanh": np.tanh,
}  # fmt: skip
_BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "maximum": np.maximum, "minimum": np.minimum,
}  # fmt: skip


def quantize(values: Array, qparams: QParams, of_nan: int) -> Array:
    """quantize_per_tensor of float32: round half to even, saturate. NaN has no code: C++ leaves the cast undefined."""
    steps = np.round(values * np.float32(1 / qparams.scale)) + np.float32(qparams.zero_point)
    codes: Array = np.nan_to_num(np.clip(steps, qparams.qmin, qparams.qmax), nan=of_nan).astype(np.int64)
    return codes


def dequantize(codes: Array, qparams: QParams) -> Array:
    return np.asarray((codes - qparams.zero_point).astype(np.float32) * np.float32(qparams.scale))


def evaluate(graph: Graph, given: Mapping[str, Array], of_nan: Callable[[Node], int]) -> dict[str, Array]:
    """The value of every node by name, from those of the placeholders. ``of_nan``: the code that a Q makes of NaN.

    Raises KeyError for an op that it does not know.
    """
    view, values = View(graph), dict(given)
    with np.errstate(all="ignore"):
        for node in graph:
            if node.op == "call":
                values[node.name] = _value(view, node, values, of_nan)
    return values


def _value(view: View, node: Node, values: Mapping[str, Array], of_nan: Callable[[Node], int]) -> Array:
    args = [values[arg.name] if isinstance(arg, Ref) else arg for arg in node.args]
    qparams = view.qparams(node)
    if qparams is not None:
        first = np.asarray(args[0])
        return quantize(first, qparams, of_nan(node)) if view.is_q(node) else dequantize(first, qparams)
    if node.kind == "full":
        return np.full((1,), args[1], dtype=np.float32)
    first = np.asarray(args[0], dtype=np.float32)
    if node.kind in _UNARY:
        return _UNARY[node.kind](first).astype(np.float32)
    if node.kind in _BINARY:
        return _BINARY[node.kind](first, np.asarray(args[1], dtype=np.float32))
    if node.kind == "pow":
        return np.power(first, np.float32(args[1]))  # type: ignore[arg-type]
    if node.kind in ("relu", "hardtanh", "clamp"):
        low, high = activation_bounds(node)
        return np.minimum(np.maximum(first, np.float32(low)), np.float32(high))
    reduce: dict[str, Callable[..., Array]] = {"amax": np.max, "sum": np.sum, "mean": np.mean}
    return reduce[node.kind](first, axis=args[1], keepdims=bool(args[2]))
