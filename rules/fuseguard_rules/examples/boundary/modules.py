"""Float modules for the BO examples. Imports torch: only ``Example.program`` imports this file."""

from __future__ import annotations

import torch
from torch import nn


class FloatBlock(nn.Module):
    """What the examples leave unquantized."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.exp(x) * x


class SharedSplit(nn.Module):
    """Two halves of one tensor: the first through a block, the second through a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.float_block = FloatBlock()
        self.conv = nn.Conv2d(4, 4, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        first, second = torch.split(1.5 * x, 4, 1)
        return self.float_block(first), self.conv(second)


def shared_split() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The module and its inputs."""
    torch.manual_seed(0)
    return SharedSplit().eval(), (torch.randn(1, 8, 4, 4),)


class Stepping(nn.Module):
    """Adds a step to x until its sum reaches 30; the loop has the step as an additional input."""

    step: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("step", torch.tensor([0.7]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def below(value: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
            del step
            return torch.lt(value.sum(dim=(0, 1), keepdim=True).reshape(1), torch.full((1,), 30.0)).squeeze()

        def stepped(value: torch.Tensor, step: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return (value + step,)

        result: torch.Tensor = torch.ops.higher_order.while_loop(below, stepped, (x + 1,), (self.step,))[0]
        return result


def stepping_up_to_a_limit() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The module and its inputs."""
    torch.manual_seed(0)
    return Stepping().eval(), (torch.randn(2, 3),)


class Halving(nn.Module):
    """Halves x until its sum is at most 60."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def above(value: torch.Tensor) -> torch.Tensor:
            return torch.gt(value.sum(dim=(0, 1), keepdim=True).reshape(1), torch.full((1,), 60.0)).squeeze()

        def halved(value: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return (value * 0.5,)

        result: torch.Tensor = torch.ops.higher_order.while_loop(above, halved, (x,), ())[0]
        return result


def calibrated_outside_its_condition() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The module and its inputs, whose sum is below 60 already: so the quantizer takes every sum for 60 at most."""
    torch.manual_seed(0)
    return Halving().eval(), (torch.rand(2, 3),)


class WithAndWithoutDropout(nn.Module):
    """A convolution's result as it is, and through dropout, which changes nothing in eval mode."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.conv(x)
        return y, self.dropout(y)


def with_and_without_dropout() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The module and its inputs."""
    torch.manual_seed(0)
    return WithAndWithoutDropout().eval(), (torch.randn(1, 3, 8, 8),)
