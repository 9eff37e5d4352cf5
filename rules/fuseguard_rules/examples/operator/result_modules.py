"""Float modules of the examples of OP712 to OP714, OP719, OP720 and OP722: constants, what a program returns,
and ops that stay on the CPU.

Imports torch: only ``Example.program`` imports this file.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

Made = tuple[nn.Module, tuple[torch.Tensor, ...]]


class _Function(nn.Module):
    """A function as a module, with a convolution that it may call."""

    def __init__(self, function: Callable[..., object]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> object:
        return self.function(self.conv, *inputs)


def made(function: Callable[..., object], inputs: int = 1) -> Made:
    torch.manual_seed(0)
    module = _Function(function).eval()
    return module, tuple(torch.randn(1, 4, 6, 6) for _ in range(inputs))


def zeros_like() -> Made:
    return made(lambda _, x: torch.zeros_like(x))


def ones_like_second() -> Made:
    return made(lambda conv, x, y: conv(x) + torch.ones_like(y), inputs=2)


def total() -> Made:
    return made(lambda conv, x: conv(x).sum())


def without_mean() -> Made:
    return made(lambda conv, x: conv(x) - x.mean())


def with_int64_ones() -> Made:
    return made(lambda conv, x: (conv(x), torch.ones(2, dtype=torch.int64)))


def largest_channel() -> Made:
    return made(lambda conv, x: conv(x).argmax(1))


def chosen_by_ones() -> Made:
    return made(lambda _, x: torch.where(torch.ones_like(x, dtype=torch.bool), x, -x))


def int32_zeros() -> Made:
    return made(lambda conv, x: (conv(x), torch.zeros_like(x, dtype=torch.int32)))


def compared_in_shape_of_mask() -> Made:
    return made(lambda _, x: torch.where(torch.full_like(x > 0, 3, dtype=torch.int32) > 2, x, -x))


def powers_of_two() -> Made:
    return made(lambda conv, x: torch.exp2(conv(x)))


def adaptively_pooled() -> Made:
    return made(lambda conv, x: F.adaptive_max_pool2d(conv(x), 2))


def resized_without_aliases() -> Made:
    return made(lambda conv, x: F.interpolate(conv(x), size=(3, 3), mode="bicubic", antialias=True))


def gathered_by_zeros() -> Made:
    return made(lambda conv, x: conv(x).gather(1, torch.zeros(1, 2, 6, 6, dtype=torch.int64)))


def on_diagonals() -> Made:
    return made(lambda conv, x: torch.diag_embed(conv(x)))


def resized_bicubic() -> Made:
    return made(lambda conv, x: nn.functional.interpolate(conv(x), scale_factor=2, mode="bicubic"))


def resized_linear() -> Made:
    return made(lambda conv, x: nn.functional.interpolate(conv(x).flatten(2), scale_factor=2, mode="linear"))


def resized_nearest() -> Made:
    return made(lambda conv, x: nn.functional.interpolate(conv(x), scale_factor=2, mode="nearest"))


def dot_of_all() -> Made:
    return made(lambda conv, x: torch.dot(conv(x).flatten(), x.flatten()))


def squared_error() -> Made:
    return made(lambda conv, x: nn.functional.mse_loss(conv(x), x))


def squared_errors() -> Made:
    return made(lambda conv, x: nn.functional.mse_loss(conv(x), x, reduction="none"))


def stacked_number() -> Made:
    module, (x,) = made(lambda conv, x, number: torch.stack([number, conv(x).mean()]))
    return module, (x, torch.tensor(0.7))
