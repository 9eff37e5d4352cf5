"""Networks for measurements with torch, written by hand: a release's environment has no torchvision."""

from __future__ import annotations

import torch
from torch import nn


class Attention(nn.Module):
    """One layer of a transformer encoder, with matmul and softmax written out."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def split(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(x.shape[0], x.shape[1], self.heads, self.size).transpose(1, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = self.split(self.query(x)), self.split(self.key(x)), self.split(self.value(x))
        weights = torch.softmax(query @ key.transpose(-1, -2) / self.size**0.5, -1)
        joined = (weights @ value).transpose(1, 2).reshape(x.shape)
        x = self.first(x + self.out(joined))
        return self.second(x + self.down(nn.functional.gelu(self.up(x))))


class Transformer(nn.Module):
    """Six layers, as DistilBERT has, of a small width."""

    def __init__(self, layers: int = 6, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(Attention(width, 4) for _ in range(layers)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class Small(nn.Module):
    """The classifier of examples/digits in size: two convolutions and two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)
        self.hidden, self.head = nn.Linear(256, 32), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        x = nn.functional.max_pool2d(torch.relu(self.second(x)), 2, 2)
        return self.head(torch.relu(self.hidden(x.flatten(1))))


class Clamped(nn.Module):
    """``count`` blocks of conv -> hardtanh with a lower bound above zero: a violation each (FU101)."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(2, 2, 1) for _ in range(count))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for conv in self.convs:
            y = torch.relu(conv(x))
            x = torch.cat((y, x), 1)[:, :2]
        return x


def networks(layers: int = 6) -> dict[str, tuple[nn.Module, tuple[torch.Tensor, ...]]]:
    """Name -> a network with random weights, and an input. ``layers`` are those of the transformer."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return {
        "transformer": (Transformer(layers).eval(), (torch.randn(1, 16, 32),)),
        "small": (Small().eval(), (torch.randn(1, 1, 8, 8),)),
    }
