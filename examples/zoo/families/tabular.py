"""Networks that are trained on the tables and the digits of scikit-learn."""

from __future__ import annotations

import torch
from torch import nn

from zoo.data import SEED, Table, batches, digits, table
from zoo.program import Built, program
from zoo.training import train

_DIGITS = "scikit-learn's digits"


def _built(module: nn.Module, data: Table, size: int) -> Built:
    """Calibrated on the training part, judged on three batches of the test part, evaluated on all of it."""
    return Built(
        module, batches(data.train, size, 8), batches(data.test, size, 3), ((data.test,), data.test_labels)
    )


def _classifier(features: int, classes: int) -> nn.Sequential:
    torch.manual_seed(SEED)
    return nn.Sequential(
        nn.Linear(features, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 16), nn.Tanh(), nn.Linear(16, classes)
    )


@program("fuseguard", "batch norm after a linear", weights="scikit-learn's wine")
def wine_mlp() -> Built:
    """[15, 13] to three classes."""
    data = table("wine", 45)
    return _built(train(_classifier(13, 3), data.train, data.train_labels, epochs=30, batch=16), data, 15)


@program("fuseguard", "batch norm after a linear", weights="scikit-learn's breast_cancer")
def breast_cancer_mlp() -> Built:
    """[47, 30] to two classes."""
    data = table("breast_cancer", 141)
    return _built(train(_classifier(30, 2), data.train, data.train_labels, epochs=20, batch=32), data, 47)


@program("fuseguard", "sigmoid gates", weights="scikit-learn's iris")
def iris_gated() -> Built:
    """[12, 4] to three classes through gated linear units."""
    torch.manual_seed(SEED)
    module = nn.Sequential(nn.Linear(4, 32), nn.GLU(), nn.Linear(16, 32), nn.GLU(), nn.Linear(16, 3))
    data = table("iris", 36)
    return _built(train(module, data.train, data.train_labels, epochs=40, batch=16), data, 12)


class _Regression(nn.Module):
    """A linear part and a nonlinear one that reaches below zero, added in place."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 16)
        self.hidden = nn.Linear(features, 16)
        self.out = nn.Linear(16, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value = nn.functional.silu(self.hidden(x))
        value += self.linear(x)
        result: torch.Tensor = self.out(nn.functional.relu(value)).squeeze(1)
        return result


@program("fuseguard", "a regression; in-place add", weights="scikit-learn's diabetes", metric="zoo.metrics:r2")
def diabetes_regression() -> Built:
    """[37, 10] to the progression of a disease, in hundreds."""
    torch.manual_seed(SEED)
    data = table("diabetes", 111)
    data = Table(data.train, data.train_labels / 100, data.test, data.test_labels / 100)
    module = _Regression(10)
    train(module, data.train, data.train_labels, epochs=30, batch=32, loss=nn.functional.mse_loss)
    return _built(module, data, 37)


class _Rows(nn.Module):
    """Reads an image row by row."""

    def __init__(self, recurrent: nn.Module, width: int, first: bool = True) -> None:
        super().__init__()
        self.recurrent = recurrent
        self.head = nn.Linear(width, 10)
        self.first = first

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[n, 1, 8, 8] to [n, 10]."""
        rows = x.squeeze(1)
        states, _ = self.recurrent(rows if self.first else rows.transpose(0, 1))
        result: torch.Tensor = self.head(states[:, -1] if self.first else states[-1])
        return result


def _on_rows(recurrent: nn.Module, width: int, first: bool = True) -> Built:
    data = digits()
    module = _Rows(recurrent, width, first)
    return _built(train(module, data.train, data.train_labels, epochs=12, batch=64), data, 90)


@program("fuseguard", "LSTM over 8 steps", weights=_DIGITS)
def digits_lstm() -> Built:
    """One layer."""
    torch.manual_seed(SEED)
    return _on_rows(nn.LSTM(8, 24, batch_first=True), 24)


@program("fuseguard", "GRU over 8 steps", weights=_DIGITS)
def digits_gru() -> Built:
    """One layer, both directions."""
    torch.manual_seed(SEED)
    return _on_rows(nn.GRU(8, 16, batch_first=True, bidirectional=True), 32)


@program("fuseguard", "RNN with ReLU, time first", weights=_DIGITS)
def digits_rnn() -> Built:
    """Elman's network with an unbounded activation."""
    torch.manual_seed(SEED)
    return _on_rows(nn.RNN(8, 24, nonlinearity="relu"), 24, first=False)


class _Dense(nn.Module):
    """DenseNet-like: rectified branches are concatenated with signed ones."""

    def __init__(self, growth: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, growth, 3, padding=1)
        self.features = nn.ModuleList([
            nn.Sequential(nn.Conv2d(width, growth, 3, padding=1), nn.BatchNorm2d(growth), nn.ReLU())
            for width in (growth, 2 * growth, 3 * growth)
        ])  # fmt: skip
        self.head = nn.Linear(4 * growth, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[n, 1, 8, 8] to [n, 10]."""
        x = self.stem(x)
        for block in self.features:
            x = torch.cat([x, block(x)], 1)
        result: torch.Tensor = self.head(x.mean((2, 3)))
        return result


@program("fuseguard", "ReLU branches concatenated with signed ones", weights=_DIGITS)
def digits_dense() -> Built:
    """The shape of a DenseNet in small."""
    torch.manual_seed(SEED)
    data = digits()
    return _built(train(_Dense(), data.train, data.train_labels, epochs=10), data, 90)


class _Patches(nn.Module):
    """A small vision transformer with torch's own encoder layer."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.embed = nn.Conv2d(1, width, 2, stride=2)
        self.place = nn.Parameter(torch.randn(1, 16, width) * 0.1)
        self.layers = nn.Sequential(*(
            nn.TransformerEncoderLayer(width, 4, 48, 0.0, "gelu", batch_first=True, norm_first=True) for _ in range(2)
        ))  # fmt: skip
        self.head = nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[n, 1, 8, 8] to [n, 10]."""
        tokens = self.embed(x).flatten(2).transpose(1, 2) + self.place
        result: torch.Tensor = self.head(self.layers(tokens).mean(1))
        return result


@program("fuseguard", "attention of torch's encoder layer", weights=_DIGITS)
def digits_vit() -> Built:
    """Two layers on 16 patches."""
    torch.manual_seed(SEED)
    data = digits()
    return _built(train(_Patches(), data.train, data.train_labels, epochs=12, rate=5e-3), data, 30)


class _Separable(nn.Module):
    """Depthwise convolutions with hard swish and squeeze-and-excitation."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.Hardswish())
        self.depth = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False), nn.BatchNorm2d(width), nn.ReLU6()
        )
        self.squeeze = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, 4, 1), nn.ReLU(), nn.Conv2d(4, width, 1), nn.Hardsigmoid()
        )
        self.point = nn.Sequential(nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width))
        self.head = nn.Linear(width * 16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[n, 1, 8, 8] to [n, 10]."""
        x = self.stem(x)
        y = self.depth(x)
        y = self.point(y * self.squeeze(y))
        x = nn.functional.max_pool2d(x + y, 2)
        result: torch.Tensor = self.head(x.flatten(1))
        return result


@program("fuseguard", "ReLU6, hard swish, squeeze-and-excitation", weights=_DIGITS)
def digits_separable() -> Built:
    """The shape of a MobileNetV3 in small."""
    torch.manual_seed(SEED)
    data = digits()
    return _built(train(_Separable(), data.train, data.train_labels, epochs=10), data, 90)
