"""Float modules for the DT examples. Imports torch: only ``Example.program`` imports this file."""

from __future__ import annotations

import torch
from torch import nn


class ConvSigmoid(nn.Module):
    """A convolution and a table operator after it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.conv(x))


def conv_and_sigmoid() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The module and an input of ordinary size."""
    torch.manual_seed(0)
    return ConvSigmoid().eval(), (torch.randn(1, 4, 8, 8),)


def sigmoid_pooled() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """An average over a sigmoid."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.Sigmoid(), nn.Conv2d(4, 4, 1), nn.AvgPool2d(2))
    return layers.eval(), (torch.randn(1, 4, 8, 8),)


def tanh_perceptron() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """Two linears with a tanh between them, as in many a control network."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4)).eval(), (torch.randn(1, 8),)


def sigmoid_conv1d() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """A one-dimensional convolution of a sigmoid."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Sigmoid(), nn.Conv1d(4, 4, 3)).eval(), (torch.randn(1, 4, 16),)


class Gate(nn.Module):
    """Squeeze and excite, then an average."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.avg_pool2d(x * torch.sigmoid(x), 2)


def gated_and_pooled() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """A multiplication between the table and the pool."""
    torch.manual_seed(0)
    return Gate().eval(), (torch.randn(1, 4, 8, 8),)


class SummedGate(nn.Module):
    """Probabilities summed up along the channels."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cumsum(torch.sigmoid(x), 1)


def sigmoid_summed() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """A cumulative sum directly after a table."""
    torch.manual_seed(0)
    return SummedGate().eval(), (torch.randn(1, 4, 8, 8),)


class OnesSummed(nn.Module):
    """Positions counted in a mask that the model makes itself, as OPT does where none is given."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.cumsum(torch.ones(1, 4, 8, 8), 1)


def ones_summed() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """A cumulative sum of a constant."""
    torch.manual_seed(0)
    return OnesSummed().eval(), (torch.randn(1, 4, 8, 8),)


class OnesChosen(nn.Module):
    """A choice between a constant and the input."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.where(x > 0, torch.ones(1, 4, 8, 8), x)


def ones_chosen() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """A constant as the first branch of a where."""
    torch.manual_seed(0)
    return OnesChosen().eval(), (torch.randn(1, 4, 8, 8),)


class PositionsCounted(nn.Module):
    """How many positive values there are up to each place, scaled: as in a position encoding of a padded image."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x > 0).cumsum(1, dtype=torch.float32) * x


def positions_counted() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """A cumulative sum of bools."""
    torch.manual_seed(0)
    return PositionsCounted().eval(), (torch.randn(1, 4, 8, 8),)


class CountsSummed(nn.Module):
    """The sum of integers in float, as a weight."""

    def forward(self, x: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        return counts.sum(1, keepdim=True, dtype=torch.float32) * x


def counts_summed() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """A sum of int32 that is to yield floats."""
    torch.manual_seed(0)
    return CountsSummed().eval(), (torch.randn(1, 4, 8, 8), torch.randint(-9, 10, (1, 4, 8, 8), dtype=torch.int32))


class Softmax(nn.Module):
    """A softmax over rows of sixteen."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(x, -1)


def rows_of_softmax() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The softmax and values of ordinary size."""
    torch.manual_seed(0)
    return Softmax().eval(), (torch.randn(1, 2, 8, 16),)


class MaskedSoftmax(nn.Module):
    """A softmax whose mask of bools becomes one of 0 and -255, as in attention."""

    mask: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", torch.where(torch.ones(8, 16).tril() > 0, 0.0, -255.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(x + self.mask, -1)


def masked_softmax() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """Rows of which one to eight positions count."""
    torch.manual_seed(0)
    return MaskedSoftmax().eval(), (torch.randn(1, 2, 8, 16),)


class NormFirst(nn.Module):
    """A pre-activation block: no convolution takes the batch norm in."""

    def __init__(self, variances: tuple[float, ...]) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(len(variances))
        self.norm.running_var = torch.tensor(variances)
        self.conv = nn.Conv2d(len(variances), 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value: torch.Tensor = self.conv(torch.relu(self.norm(x)))
        return value


def tiny_norm() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """Variances of 0.0001 to 0.1."""
    torch.manual_seed(0)
    return NormFirst((1e-4, 1e-3, 1e-2, 1e-1)).eval(), (torch.randn(1, 4, 8, 8) * 0.2,)


class ConvCast(nn.Module):
    """A convolution whose result is cast."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)
        self.dtype = dtype

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value: torch.Tensor = self.conv(x) * 4
        return value.to(self.dtype)


class HalfCast(ConvCast):
    """The result is a float16 on the way."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value: torch.Tensor = self.conv(x) * 4
        return value.half().to(self.dtype)


def half_cast_to_int32() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    torch.manual_seed(0)
    return HalfCast(torch.int32).eval(), (torch.randn(1, 4, 8, 8),)


def _cast(dtype: torch.dtype) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    torch.manual_seed(0)
    return ConvCast(dtype).eval(), (torch.randn(1, 4, 8, 8),)


def cast_to_int8() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    return _cast(torch.int8)


def cast_to_int16() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    return _cast(torch.int16)


def cast_to_int32() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    return _cast(torch.int32)
