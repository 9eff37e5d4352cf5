"""Float modules for the OP examples. Imports torch: only ``Example.program`` imports this file."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class MaxPool(nn.Module):
    """``max_pool2d(2 x)``; without a stride it is exported without one."""

    def __init__(self, stride: int | None) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        doubled = x + x
        return F.max_pool2d(doubled, 2) if self.stride is None else F.max_pool2d(doubled, 2, self.stride)


def max_pool(stride: int | None, seed: int = 0) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    torch.manual_seed(seed)
    return MaxPool(stride).eval(), (torch.randn(1, 4, 8, 8),)


class TransposedConv(nn.Module):
    def __init__(self, groups: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(4, 4, 2, stride=2, groups=groups, dilation=dilation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.conv(x)
        return result


def transposed_conv(groups: int = 1, dilation: int = 1, seed: int = 0) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    torch.manual_seed(seed)
    return TransposedConv(groups, dilation).eval(), (torch.randn(1, 4, 6, 6),)


class FromOne(nn.Module):
    """A convolution's result, subtracted from one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inverted: torch.Tensor = 1.0 - self.conv(x)
        return inverted


def conv_subtracted_from_one() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """As in an inverted mask."""
    torch.manual_seed(0)
    return FromOne().eval(), (torch.randn(1, 4, 6, 8),)


class ConvLogSigmoid(nn.Module):
    """A convolution and a log_sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.logsigmoid(self.conv(x))


def log_sigmoid_of_conv() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """As in a loss or a gate."""
    torch.manual_seed(0)
    return ConvLogSigmoid().eval(), (torch.randn(1, 4, 6, 8),)


class GreyAsRgb(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        filtered: torch.Tensor = self.conv(torch.cat([x, x, x], 1))
        return filtered


def grey_as_rgb() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """A network for colours that is fed grey images."""
    torch.manual_seed(0)
    return GreyAsRgb().eval(), (torch.randn(1, 1, 8, 8),)


class MeanOfFlattened(nn.Module):
    """Global average pooling by way of flatten."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.conv(x)
        return features.flatten(2).mean(-1)


def mean_of_flattened() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """Ordinary values."""
    torch.manual_seed(0)
    return MeanOfFlattened().eval(), (torch.randn(1, 4, 6, 6),)
