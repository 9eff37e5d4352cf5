"""Modules whose programs are examples of the PL rules. They import torch."""

from __future__ import annotations

import torch
from torch import nn


class ShareAboveZero(nn.Module):
    """Weighs by how many channels are above zero."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x > 0).mean(1, keepdim=True, dtype=torch.float32) * x


def share_above_zero() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """A mean of bools: the quantizer makes a sum that yields int64 of it, and a product of that and a float."""
    torch.manual_seed(0)
    return ShareAboveZero().eval(), (torch.randn(1, 4, 8, 8),)
