"""Float modules for the QP examples. Imports torch: only ``Example.program`` imports this file."""

from __future__ import annotations

import torch
from torch import nn


class Mean(nn.Module):
    """Global average pooling as timm's heads and squeeze-and-excite blocks write it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3), keepdim=True)


def mean_over(side: int) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The mean of a square image of values in [0, 1]."""
    torch.manual_seed(0)
    return Mean().eval(), (torch.rand(1, 2, side, side),)


class Cosine(nn.Module):
    """Cosine similarity, which divides by no less than 1e-8."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return nn.functional.cosine_similarity(x, y, 1)


def cosine() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """Four pairs of vectors of ordinary size."""
    torch.manual_seed(0)
    return Cosine().eval(), (torch.randn(1, 8, 4), torch.randn(1, 8, 4) * 0.5 + 0.2)
