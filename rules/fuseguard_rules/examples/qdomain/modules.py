"""Float modules for the QD examples. Imports torch: only ``Example.program`` imports this file."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F


class Traced(nn.Module):
    """A module around a function of tensors."""

    def __init__(self, function: Callable[..., object]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> object:
        return self.function(x, y)


def _neg_into_cat(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.cat([-torch.sigmoid(x), 20 * y], 1)


def _movedim_into_cat(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.cat([torch.movedim(torch.sigmoid(x), 2, 3), 20 * y], 1)


def _rotary(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    first, second = x[:, :2], x[:, 2:]
    return torch.cat([-second, first], 1) * torch.sigmoid(y)


def _pools(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.cat([F.avg_pool2d(x, 2, 2), F.max_pool2d(x, 2, 2), F.avg_pool2d(20 * y, 2, 2)], 1)


def _widths(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.cat([x, 3 * y, torch.relu(x)], 1)


def _twin_gate(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.cat([torch.sigmoid(x), 20 * y], 1), torch.sigmoid(x)


def _twin_mul(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.cat([x * y, 20 * y], 1), x * y


def _tied_towers(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    weight = torch.linspace(-1.0, 1.0, 16).reshape(4, 4, 1, 1)
    return F.conv2d(x, weight) + F.conv2d(y, weight)


def _coordinates(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.cat([torch.sigmoid(x), 200 * y], 1)


MODULES: dict[str, Callable[..., object]] = {
    "neg into cat": _neg_into_cat,
    "movedim into cat": _movedim_into_cat,
    "rotary": _rotary,
    "pools": _pools,
    "widths": _widths,
    "coordinates": _coordinates,
    "twin gate": _twin_gate,
    "twin mul": _twin_mul,
    "tied towers": _tied_towers,
}


def build(name: str) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The module of that name and its inputs. Raises KeyError for an unknown name."""
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn((1, 4, 8, 8), generator=generator) for _ in range(2))
    return Traced(MODULES[name]).eval(), (x, y)
