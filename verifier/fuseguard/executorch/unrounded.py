"""Quantizing and dequantizing without the rounding, as where a lowering leaves a quantize op out."""

from __future__ import annotations

import torch


def keeps_value(quantize: torch.fx.Node, dequantize: torch.fx.Node) -> bool:
    """Whether both ops of a tensor have the same scale and zero point, so that without rounding they change nothing."""
    return quantize.args[1:3] == dequantize.args[1:3]


def without_rounding(value: torch.Tensor, quantize: torch.fx.Node, dequantize: torch.fx.Node) -> torch.Tensor:
    """What ``dequantize`` yields of ``value`` where ``quantize``, which it reads, neither rounds nor saturates.

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
