"""Networks that are written with torch alone: recurrent ones, audio, points, recommendation, text."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from zoo.data import SEED, images, text, waves, with_statistics
from zoo.program import Built, Inputs, program
from zoo.training import train

_LETTERS = 128


def _seeded(sets: Sequence[Inputs], module: nn.Module) -> Built:
    return Built(with_statistics(module, sets[:6]), sets[:-3], sets[-3:])


class _Letters(nn.Module):
    """Predicts the next letter."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.embed = nn.Embedding(_LETTERS, width)
        self.recurrent = nn.LSTM(width, width, num_layers=2, batch_first=True)
        self.head = nn.Linear(width, _LETTERS, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """[n, length] to [n, 128], the logits of the letter that follows."""
        states, _ = self.recurrent(self.embed(ids))
        result: torch.Tensor = self.head(states[:, -1])
        return result


@program(
    "fuseguard", "two LSTM layers; embedding with int64 ids tied to the head", weights="scikit-learn's documentation"
)
def letters_lstm() -> Built:
    """Eight letters to the next one."""
    torch.manual_seed(SEED)
    training = text(1, 9, batch=4000, seed=1)[0]
    module = train(_Letters(), training[:, :8], training[:, 8], epochs=6, batch=128, rate=2e-2)
    tests = text(1, 9, batch=400, seed=2)[0]
    sets = [(training[start : start + 40, :8],) for start in range(0, 320, 40)]
    checked = [(tests[start : start + 40, :8],) for start in range(0, 120, 40)]
    return Built(module, sets, checked, ((tests[:, :8],), tests[:, 8]))


class _Steps(nn.Module):
    """A GRU cell that is called step by step, with its state as an input and an output."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.cell = nn.GRUCell(width, width)
        self.head = nn.Linear(width, 4)

    def forward(self, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        state = self.cell(x, state)
        return self.head(state), state


@program("fuseguard", "a GRU cell whose state is an input and an output")
def gru_cell() -> Built:
    """One step."""
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(3)
    sets: list[Inputs] = [
        (torch.randn(2, 16, generator=generator), torch.tanh(torch.randn(2, 16, generator=generator)))
        for _ in range(11)
    ]
    return _seeded(sets, _Steps())


class _Enhancer(nn.Module):
    """Convolutions, a GRU in the middle and a mask on the input, as networks that remove noise have."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Conv1d(8, 16, 3, padding=1)
        self.recurrent = nn.GRU(16, 16, batch_first=True)
        self.decode = nn.ConvTranspose1d(16, 8, 3, padding=1)

    def forward(self, spectrum: torch.Tensor) -> torch.Tensor:
        x = nn.functional.leaky_relu(self.encode(spectrum), 0.1)
        states, _ = self.recurrent(x.transpose(1, 2))
        x = x + states.transpose(1, 2)
        return spectrum * torch.sigmoid(self.decode(x))


@program("fuseguard", "GRU between convolutions, transposed 1-D convolution, a mask that multiplies the input")
def enhancer() -> Built:
    """Six frames of eight bands."""
    torch.manual_seed(SEED)
    return _seeded(waves(11, 6, channels=8), _Enhancer())


class _Keywords(nn.Module):
    """DS-CNN for keyword spotting."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, width, (10, 4), (2, 2), (5, 1), bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.blocks = nn.Sequential(*(
            nn.Sequential(
                nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
                nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            )
            for _ in range(3)
        ))  # fmt: skip
        self.head = nn.Linear(width, 12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.stem(x))
        result: torch.Tensor = self.head(nn.functional.avg_pool2d(x, x.shape[2:]).flatten(1))
        return result


@program("fuseguard", "uneven kernels and padding, average over all places")
def keyword_spotting() -> Built:
    """49 frames of 10 coefficients."""
    torch.manual_seed(SEED)
    sets = [(values[0][:, None],) for values in waves(11, 10, channels=49)]
    return _seeded(sets, _Keywords())


class _Temporal(nn.Module):
    """Dilated causal convolutions with residuals: a temporal convolutional network."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Conv1d(2, width, 1)
        self.layers = nn.ModuleList(nn.Conv1d(width, 2 * width, 3, dilation=2**step) for step in range(3))
        self.head = nn.Conv1d(width, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        skips = torch.zeros_like(x)
        for step, layer in enumerate(self.layers):
            value, gate = layer(nn.functional.pad(x, (2 * 2**step, 0))).chunk(2, 1)
            value = torch.tanh(value) * torch.sigmoid(gate)
            skips += value
            x = x + value
        result: torch.Tensor = self.head(nn.functional.relu(skips))
        return result


@program("fuseguard", "causal padding, dilated 1-D convolutions, gates, skips added in place to zeros")
def wavenet() -> Built:
    """24 samples of two channels."""
    torch.manual_seed(SEED)
    return _seeded(waves(11, 24, channels=2), _Temporal())


class _Points(nn.Module):
    """PointNet: shared linears, a maximum over all points, and it concatenated with each of them."""

    def __init__(self) -> None:
        super().__init__()
        self.local = nn.Sequential(nn.Conv1d(3, 16, 1), nn.BatchNorm1d(16), nn.ReLU())
        self.deep = nn.Sequential(nn.Conv1d(16, 32, 1), nn.BatchNorm1d(32))
        self.head = nn.Sequential(nn.Conv1d(48, 16, 1), nn.BatchNorm1d(16), nn.ReLU(), nn.Conv1d(16, 4, 1))

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        local = self.local(points)
        whole = self.deep(local).amax(2, keepdim=True).expand(-1, -1, points.shape[2])
        result: torch.Tensor = self.head(torch.cat([local, whole], 1))
        return result


@program("fuseguard", "maximum over points, expanded and concatenated with ReLU features")
def pointnet() -> Built:
    """32 points in space."""
    torch.manual_seed(SEED)
    return _seeded(waves(11, 32, channels=3, batch=2), _Points())


class _Clicks(nn.Module):
    """DLRM: dense features, embeddings by int64 ids, products of all pairs."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.dense = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, width), nn.ReLU())
        self.tables = nn.ModuleList(nn.Embedding(20, width) for _ in range(3))
        self.head = nn.Sequential(nn.Linear(width + 6, 16), nn.ReLU(), nn.Linear(16, 1))
        first, second = torch.tril_indices(4, 4, -1)
        self.register_buffer("pairs", first * 4 + second)

    def forward(self, dense: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        x = self.dense(dense)
        rows = torch.stack([x, *(table(ids[:, number]) for number, table in enumerate(self.tables))], 1)
        products = torch.bmm(rows, rows.transpose(1, 2)).flatten(1)
        assert isinstance(self.pairs, torch.Tensor)
        chosen = products.index_select(1, self.pairs)
        return torch.sigmoid(self.head(torch.cat([x, chosen], 1)))


@program("fuseguard", "embeddings with int64 ids, products of pairs, index_select")
def dlrm() -> Built:
    """Four users."""
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(3)
    sets: list[Inputs] = [
        (torch.randn(4, 6, generator=generator), torch.randint(0, 20, (4, 3), generator=generator)) for _ in range(11)
    ]
    return _seeded(sets, _Clicks())


class _Tied(nn.Module):
    """An autoencoder whose decoder is the transpose of its encoder, with residuals added in place."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(16, 48) * 0.1)
        self.mix = nn.Linear(16, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        code = torch.relu(nn.functional.linear(x, self.weight))
        code += self.mix(code)
        code.mul_(0.5).clamp_(-1.0, 2.0)
        return nn.functional.linear(code, self.weight.t())


@program("fuseguard", "one weight used twice, once transposed; in-place add, mul and clamp")
def tied_autoencoder() -> Built:
    """Patches of 4 x 4 pixels."""
    torch.manual_seed(SEED)
    sets: list[Inputs] = [(values[0].flatten(1),) for values in images(11, 4, batch=6)]
    return _seeded(sets, _Tied())


class _Siamese(nn.Module):
    """One network on two images, compared by distance: each weight has two users."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2), nn.ELU(), nn.Conv2d(8, 8, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        difference: torch.Tensor = self.network(left) - self.network(right)
        return difference.abs().mean(1) + torch.sqrt((difference * difference).sum(1) + 1e-3)


@program("fuseguard", "each weight used twice; ELU, abs, sqrt")
def siamese() -> Built:
    """Two images of 16 x 16."""
    torch.manual_seed(SEED)
    lefts, rights = images(11, 16, batch=2), images(11, 16, batch=2, seed=5)
    return _seeded([(*left, *right) for left, right in zip(lefts, rights, strict=True)], _Siamese())


class _Detector(nn.Module):
    """A head like YOLO's: boxes from sigmoid and exp, scores, and a mask of those above a threshold."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 12, 3, 2, 1), nn.SiLU(), nn.Conv2d(12, 12, 3, 2, 1), nn.SiLU())
        self.head = nn.Conv2d(12, 2 * 7, 1)
        self.register_buffer("anchors", torch.tensor([[1.0, 2.0], [3.0, 1.5]]).reshape(1, 2, 2, 1, 1))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        raw = self.head(self.body(x))
        raw = raw.reshape(raw.shape[0], 2, 7, *raw.shape[2:])
        assert isinstance(self.anchors, torch.Tensor)
        centre = torch.sigmoid(raw[:, :, :2])
        size = torch.exp(raw[:, :, 2:4].clamp(-3, 3)) * self.anchors
        score = torch.sigmoid(raw[:, :, 4:5]) * torch.softmax(raw[:, :, 5:], 2)
        boxes = torch.cat([centre - size / 2, centre + size / 2], 2)
        return boxes, torch.where(score > 0.2, score, torch.zeros_like(score))


@program("fuseguard", "exp, clamp, softmax, where, a comparison; five dimensions")
def detector() -> Built:
    """One image of 16 x 16."""
    torch.manual_seed(SEED)
    return _seeded(images(11, 16), _Detector())


class _Graph(nn.Module):
    """Two layers of a graph network: a dense adjacency matrix, normalized by degree."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 12)
        self.second = nn.Linear(12, 3)

    def forward(self, x: torch.Tensor, adjacency: torch.Tensor) -> torch.Tensor:
        degree = adjacency.sum(-1, keepdim=True).clamp(min=1.0)
        x = torch.relu(self.first(torch.matmul(adjacency, x) / degree))
        return torch.log_softmax(self.second(torch.matmul(adjacency, x) / degree), -1)


@program("fuseguard", "matrix products of two inputs, division, log-softmax")
def graph_network() -> Built:
    """Ten nodes."""
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(3)
    sets: list[Inputs] = [
        (torch.randn(1, 10, 6, generator=generator), (torch.rand(1, 10, 10, generator=generator) > 0.6).float())
        for _ in range(11)
    ]
    return _seeded(sets, _Graph())


class _Generator(nn.Module):
    """Super-resolution: residual blocks, pixel shuffle, and the input upsampled and added."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.PReLU(), nn.Conv2d(width, width, 3, padding=1))
            for _ in range(2)
        )
        self.up = nn.Conv2d(width, 12, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value = self.stem(x)
        for block in self.blocks:
            value = value + block(value) * 0.1
        detail = nn.functional.pixel_shuffle(self.up(value), 2)
        return detail + nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")


@program("fuseguard", "pixel shuffle, PReLU, scaled residuals, nearest upsampling")
def super_resolution() -> Built:
    """8 x 8 to 16 x 16."""
    torch.manual_seed(SEED)
    return _seeded(images(11, 8), _Generator())
