"""Float modules for the examples of DT512: a layer left in float. Imports torch, and is imported late."""

from __future__ import annotations

import torch
from torch import nn


class Activated(nn.Module):
    """A convolution whose results are between -1 and 1, and a selu of them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)
        self.function = nn.SELU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value: torch.Tensor = self.function(torch.tanh(self.conv(x)))
        return value


class Log1p(nn.Module):
    """A function as a submodule, so that it can be left in float."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.log1p(x)


class Missed(nn.Module):
    """The logarithm of what a probability lacks to 1."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)
        self.function = Log1p()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value: torch.Tensor = self.function(-torch.sigmoid(2 * self.conv(x)))
        return value


def selu() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    torch.manual_seed(0)
    return Activated().eval(), (torch.randn(1, 4, 8, 8),)


def log1p() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    torch.manual_seed(0)
    return Missed().eval(), (torch.randn(1, 4, 8, 8),)
