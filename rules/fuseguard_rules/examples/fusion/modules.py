"""Float modules for the FU examples. Imports torch: only ``Example.program`` imports this file."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class ActivationIntoCat(nn.Module):
    """``cat(activation(anchor(x)), y)``: the shape of a DenseNet or U-Net skip."""

    def __init__(self, anchor: nn.Module, activation: str, bounds: tuple[float, ...]) -> None:
        super().__init__()
        self.anchor = anchor
        self.activation = activation
        self.bounds = bounds

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        hidden = self.anchor(x)
        if self.activation == "relu":
            hidden = torch.relu(hidden)
        elif self.activation == "hardtanh":
            hidden = F.hardtanh(hidden, self.bounds[0], self.bounds[1])
        elif self.activation == "clamp":
            hidden = torch.clamp(hidden, self.bounds[0], self.bounds[1])
        return torch.cat([hidden, y], 1)


def anchor_module(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    """An anchor by name and the shape of its input. Raises KeyError for an unknown name."""
    modules: dict[str, tuple[type[nn.Module], tuple[object, ...], dict[str, object], tuple[int, ...]]] = {
        "conv2d": (nn.Conv2d, (4, 4, 3), {"padding": 1}, (1, 4, 8, 8)),
        "depthwise": (nn.Conv2d, (4, 4, 3), {"padding": 1, "groups": 4}, (1, 4, 8, 8)),
        "grouped": (nn.Conv2d, (4, 4, 3), {"padding": 1, "groups": 2}, (1, 4, 8, 8)),
        "conv1d": (nn.Conv1d, (4, 4, 3), {"padding": 1}, (1, 4, 16)),
        "grouped1d": (nn.Conv1d, (4, 4, 3), {"padding": 1, "groups": 2}, (1, 4, 16)),
        "conv3d": (nn.Conv3d, (2, 2, 3), {"padding": 1}, (1, 2, 4, 6, 6)),
        "depthwise3d": (nn.Conv3d, (2, 2, 3), {"padding": 1, "groups": 2}, (1, 2, 4, 6, 6)),
        "transposed": (nn.ConvTranspose2d, (4, 4, 2), {"stride": 2}, (1, 4, 6, 6)),
        "linear": (nn.Linear, (8, 8), {}, (4, 8)),
    }
    kind, args, options, shape = modules[name]
    return kind(*args, **options), shape


def activation_into_cat(
    anchor: str, activation: str, bounds: tuple[float, ...], *, signed: bool, seed: int = 0
) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The module and inputs whose second reaches 9, and below zero if ``signed``.

    Inputs are wide enough that every bound of the activation is exceeded.
    """
    torch.manual_seed(seed)
    module, shape = anchor_module(anchor)
    x = torch.randn(shape) * 12
    with torch.no_grad():
        y = module(x).abs()
    y = y * (9.0 / float(y.max()))
    if signed:
        y = 2.0 - y
    return ActivationIntoCat(module, activation, bounds).eval(), (x, y)
