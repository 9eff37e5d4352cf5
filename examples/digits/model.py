"""A small classifier for 8 x 8 images, with DenseNet-like skips that carry negative values."""

from __future__ import annotations

import torch
from torch import nn


class SignedSkip(nn.Module):
    """Concatenates a rectified branch with a signed one.

    The quantizer gives both inputs of a concatenation the same scale and zero point. The signed branch reaches
    below zero, so the zero point cannot be the lowest code: and the ReLU's lower bound is then no longer what
    saturation does by itself.
    """

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(channels, growth, 3, padding=1), nn.BatchNorm2d(growth))
        self.signed = nn.Sequential(nn.Conv2d(channels, growth, 1), nn.BatchNorm2d(growth))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[n, channels, h, w] to [n, 2 * growth, h, w]."""
        features = torch.relu(self.features(x))
        return torch.cat([features, self.signed(x)], dim=1)


class DigitsNet(nn.Module):
    """[n, 1, 8, 8] in 0..1 to ten logits."""

    def __init__(self, growth: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, growth, 3, padding=1)
        self.block1 = SignedSkip(growth, growth)
        self.block2 = SignedSkip(2 * growth, growth)
        self.pool = nn.MaxPool2d(2)
        self.block3 = SignedSkip(2 * growth, growth)
        self.classify = nn.Linear(2 * growth * 16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The logits."""
        x = self.block1(torch.relu(self.stem(x)))
        x = self.pool(self.block2(x))
        x = self.block3(x)
        logits: torch.Tensor = self.classify(torch.flatten(x, 1))
        return logits
