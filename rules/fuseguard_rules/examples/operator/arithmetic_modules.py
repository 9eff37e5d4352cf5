"""Float modules for the OP704 and OP706 examples. Imports torch: only ``Example.program`` imports this file."""

from __future__ import annotations

import torch
from torch import nn


class JoinedConstants(nn.Module):
    """x plus a cat of constants; none of their codes but those of the first and last is at an end of the range."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = [torch.full((1, channels, 8, 8), value) for channels, value in ((4, -1.5), (2, 0.25), (2, 1.0))]
        return x + torch.cat(parts, 1)


class ReusedOperand(nn.Module):
    """``(h - tanh(h)) + h`` with ``h = 5 x``: h has the largest scale of both operations."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = 5 * x
        return (h - torch.tanh(h)) + h


def joined_constants(seed: int = 0) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The module and its inputs."""
    torch.manual_seed(seed)
    return JoinedConstants().eval(), (torch.randn(1, 8, 8, 8),)


def reused_operand(seed: int = 0) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The module and its inputs."""
    torch.manual_seed(seed)
    return ReusedOperand().eval(), (torch.randn(1, 8, 8, 8),)
