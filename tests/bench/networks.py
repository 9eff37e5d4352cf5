"""Networks for measurements with torch, written by hand: a release's environment has no torchvision."""

from __future__ import annotations

import torch
from torch import nn


class Inverted(nn.Module):
    """MobileNetV2's block: expand, depthwise, project, with a residual add where shapes allow."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expand = nn.Conv2d(inputs, inner, 1)
        self.depthwise = nn.Conv2d(inner, inner, 3, stride, 1, groups=inner)
        self.project = nn.Conv2d(inner, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = nn.functional.relu6(self.expand(x))
        result = self.project(nn.functional.relu6(self.depthwise(inner)))
        return x + result if self.residual else result


class Convolutions(nn.Module):
    """MobileNetV2's layout, 17 blocks, with a quarter of its channels."""

    def __init__(self) -> None:
        super().__init__()
        blocks: list[nn.Module] = [nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU6()]
        inputs = 8
        for expansion, outputs, count, stride in (
            (1, 4, 1, 1), (6, 6, 2, 2), (6, 8, 3, 2), (6, 16, 4, 2), (6, 24, 3, 1), (6, 40, 3, 2), (6, 80, 1, 1),
        ):  # fmt: skip
            for number in range(count):
                blocks.append(Inverted(inputs, outputs, stride if number == 0 else 1, expansion))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks, nn.Conv2d(inputs, 320, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1))
        self.head = nn.Linear(320, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(x).flatten(1))


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
        "convolutions": (Convolutions().eval(), (torch.randn(1, 3, 64, 64),)),
        "transformer": (Transformer(layers).eval(), (torch.randn(1, 16, 32),)),
        "small": (Small().eval(), (torch.randn(1, 1, 8, 8),)),
    }
