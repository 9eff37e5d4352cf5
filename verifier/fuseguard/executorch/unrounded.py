"""Quantizing and dequantizing without the rounding, as where a lowering leaves a quantize op out."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from fuseguard.ir.graph import Node
from fuseguard.ir.ops import Trait
from fuseguard.ir.view import View

#: What has the range of its operands. An activation may be fused into the op before it.
_HANDS_ON = Trait.MOVES | Trait.ACTIVATION | Trait.QUANTIZE | Trait.DEQUANTIZE


def is_wide(node: Node, operands: Iterable[bool]) -> bool:
    """Whether ``node`` yields an accumulator, which may be beyond the codes' dtype. ``operands``: whether these do."""
    if node.meta is not None and node.meta.dtype == "bool":
        return False
    if node.info.has(_HANDS_ON):
        return any(operands)
    return not node.info.has(Trait.TRANSPARENT | Trait.CONSTANT)


def hands_codes_on(view: View, ops: Iterable[str], qparams: Iterable[object]) -> bool:
    """Whether ``ops``, by name, only move codes. ``qparams``: of their operands and of their result."""
    moves = all(view.graph[op].info.has(Trait.MOVES | Trait.QUANTIZE | Trait.DEQUANTIZE) for op in ops)
    return moves and len(set(qparams)) == 1


def saturated(value: torch.Tensor, quantize: torch.fx.Node) -> torch.Tensor:
    """``value``, which is not rounded, at most as large as the limits of the dtype of ``quantize`` allow."""
    scale, zero_point = (_number(arg) for arg in quantize.args[1:3])
    limits = torch.iinfo(quantize.args[5])  # type: ignore[arg-type]
    return value.clamp((limits.min - zero_point) * scale, (limits.max - zero_point) * scale)


def keeps_value(quantize: torch.fx.Node, dequantize: torch.fx.Node) -> bool:
    """Whether both ops of a tensor have the same scale and zero point, so that without rounding they change nothing."""
    return quantize.args[1:3] == dequantize.args[1:3]


def without_rounding(value: torch.Tensor, quantize: torch.fx.Node, dequantize: torch.fx.Node) -> torch.Tensor:
    """What ``dequantize`` yields of ``value`` where ``quantize``, which it reads, does not round.

    Two different pairs of scale and zero point make an affine function of the two ops. Raises RuntimeError if they are
    not numbers.
    """
    if keeps_value(quantize, dequantize):
        return value
    scale, zero_point, own_scale, own_zero_point = (
        _number(arg) for arg in (*quantize.args[1:3], *dequantize.args[1:3])
    )
    return (value / scale + (zero_point - own_zero_point)) * own_scale


def _number(arg: object) -> float:
    if not isinstance(arg, int | float):
        raise RuntimeError(f"{arg} is not a number")
    return float(arg)
