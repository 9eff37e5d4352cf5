"""Float modules behind the DT examples. Imports torch: only ``Example.program`` imports this file."""

from __future__ import annotations

import torch
from torch import nn


class ConvSigmoid(nn.Module):
    """A convolution and a table operator behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.conv(x))


def conv_and_sigmoid() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The module and an input of ordinary size."""
    torch.manual_seed(0)
    return ConvSigmoid().eval(), (torch.randn(1, 4, 8, 8),)
