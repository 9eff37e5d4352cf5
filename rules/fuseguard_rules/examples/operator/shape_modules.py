"""Float modules of the examples of OP715 to OP718. Imports torch: only ``Example.program`` imports this file."""

from __future__ import annotations

import torch
from torch import nn


class ClampedByChannel(nn.Module):
    """A convolution whose channels are clamped to bounds of their own."""

    lower: torch.Tensor
    upper: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)
        self.register_buffer("lower", -torch.rand(1, 4, 1, 1) - 0.1)
        self.register_buffer("upper", torch.rand(1, 4, 1, 1) + 0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.clamp(self.conv(x), self.lower, self.upper)


def clamped_by_channel() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The module and its inputs."""
    torch.manual_seed(0)
    return ClampedByChannel().eval(), (torch.randn(1, 4, 8, 8),)


class ChannelsOverwritten(nn.Module):
    """``y[:, index] = v`` with one value for all places."""

    index: torch.Tensor
    value: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("index", torch.tensor([1, 2]))
        self.register_buffer("value", torch.tensor([0.25]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        doubled = x + x
        doubled[:, self.index] = self.value
        return doubled


def channels_overwritten() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The module and its inputs."""
    torch.manual_seed(0)
    return ChannelsOverwritten().eval(), (torch.randn(1, 4, 6, 6),)
