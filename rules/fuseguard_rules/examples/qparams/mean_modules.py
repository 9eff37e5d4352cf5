"""Float modules for the examples of QP307. Imports torch, and is imported late."""

from __future__ import annotations

import torch
from torch import nn


class Headed(nn.Module):
    """A convolution and a ReLU, and a head on them."""

    def __init__(self, conv: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.conv = conv
        self.head = head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value: torch.Tensor = self.head(torch.relu(self.conv(x)))
        return value


def pooled() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """A global average pool and a linear layer, to be left in float."""
    torch.manual_seed(0)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    return Headed(nn.Conv2d(4, 8, 3), head).eval(), (torch.randn(1, 4, 8, 8),)


def pooled_volume() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """A global average pool of volumes, as torchvision's video networks end."""
    torch.manual_seed(0)
    return Headed(nn.Conv3d(4, 8, 1), nn.AdaptiveAvgPool3d(1)).eval(), (torch.randn(1, 4, 2, 4, 4),)


def normalized() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """A layer norm, to be left in float."""
    torch.manual_seed(0)
    return Headed(nn.Conv2d(4, 8, 1), nn.LayerNorm(8)).eval(), (torch.randn(1, 4, 8, 8),)
