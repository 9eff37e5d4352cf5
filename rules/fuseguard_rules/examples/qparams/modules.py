"""Float modules behind the QP examples. Imports torch: only ``Example.program`` imports this file."""

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
