"""Data that ships in packages: photographs, tables and text of scikit-learn. Nothing is downloaded."""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from zoo.program import Inputs

SEED = 0
#: Mean and deviation that image models expect, for red, green and blue.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@functools.cache
def _photographs() -> tuple[torch.Tensor, ...]:
    """scikit-learn's two sample photographs, [3, height, width] in 0..1."""
    from sklearn.datasets import load_sample_images

    loaded: Any = load_sample_images()
    return tuple(torch.tensor(image).permute(2, 0, 1).float() / 255 for image in loaded.images)


def images(count: int, size: int = 64, *, batch: int = 1, channels: int = 3, seed: int = SEED) -> list[Inputs]:
    """``count`` input sets of one [batch, channels, size, size] tensor: parts of photographs, normalized."""
    generator = torch.Generator().manual_seed(seed)
    mean, deviation = (torch.tensor(values).reshape(3, 1, 1) for values in (_MEAN, _DEVIATION))
    sets: list[Inputs] = []
    for _ in range(count):
        parts = []
        for _ in range(batch):
            photograph = _photographs()[int(torch.randint(0, 2, (), generator=generator))]
            _, height, width = photograph.shape
            side = int(torch.randint(size, min(height, width), (), generator=generator))
            top = int(torch.randint(0, height - side + 1, (), generator=generator))
            left = int(torch.randint(0, width - side + 1, (), generator=generator))
            part = photograph[None, :, top : top + side, left : left + side]
            part = nn.functional.interpolate(part, (size, size), mode="bilinear", antialias=True)[0]
            parts.append(((part - mean) / deviation)[:channels])
        sets.append((torch.stack(parts),))
    return sets


@functools.cache
def _text() -> torch.Tensor:
    """The descriptions of scikit-learn's data sets as ASCII codes, [characters] in 0..127."""
    folder = importlib.resources.files("sklearn.datasets.descr")
    files = sorted((item for item in folder.iterdir() if item.name.endswith(".rst")), key=lambda item: item.name)
    text = "".join(item.read_text(encoding="utf-8") for item in files)
    return torch.tensor([code for code in map(ord, text) if code < 128])


def text(count: int, length: int, *, batch: int = 1, seed: int = SEED) -> list[torch.Tensor]:
    """``count`` tensors of int64 ids in 0..127, [batch, length]: places in English text, letter by letter."""
    generator = torch.Generator().manual_seed(seed)
    letters = _text()
    starts = torch.randint(0, len(letters) - length, (count, batch), generator=generator)
    return [torch.stack([letters[start : start + length] for start in row.tolist()]) for row in starts]


def waves(count: int, length: int, *, channels: int = 1, batch: int = 1, seed: int = SEED) -> list[Inputs]:
    """``count`` input sets of one [batch, channels, length] tensor: three sines and noise, within -1.2..1.2."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(length) / length
    sets: list[Inputs] = []
    for _ in range(count):
        frequency = torch.rand((batch, channels, 3, 1), generator=generator) * length / 8
        phase = torch.rand((batch, channels, 3, 1), generator=generator) * 6.3
        signal = (torch.sin(6.28 * frequency * time + phase) / 3).sum(2)
        sets.append((signal + 0.05 * torch.randn(signal.shape, generator=generator),))
    return sets


@dataclass(frozen=True)
class Table:
    """A data set of scikit-learn, split once and for all. Features have mean 0 and deviation 1 on the training part."""

    train: torch.Tensor
    train_labels: torch.Tensor
    test: torch.Tensor
    test_labels: torch.Tensor


def table(name: str, test_size: int) -> Table:
    """``load_<name>`` of scikit-learn: [samples, features], and class numbers or, for a regression, floats."""
    import sklearn.datasets

    features, labels = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(SEED))
    x = torch.tensor(features, dtype=torch.float32)[order]
    y = torch.tensor(labels)[order]
    y = y.to(torch.float32 if y.is_floating_point() else torch.int64)
    train = x[test_size:]
    x = (x - train.mean(0)) / train.std(0).clamp(min=1e-6)
    return Table(x[test_size:], y[test_size:], x[:test_size], y[:test_size])


def digits(test_size: int = 450) -> Table:
    """scikit-learn's handwritten digits, [samples, 1, 8, 8] in 0..1."""
    from sklearn.datasets import load_digits

    features, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(SEED))
    x = (torch.tensor(features, dtype=torch.float32) / 16).reshape(-1, 1, 8, 8)[order]
    y = torch.tensor(labels, dtype=torch.int64)[order]
    return Table(x[test_size:], y[test_size:], x[:test_size], y[:test_size])


def batches(values: torch.Tensor, size: int, count: int) -> list[Inputs]:
    """The first ``count`` batches of ``size`` samples, each an input set of one tensor."""
    sets: list[Inputs] = [(values[start : start + size],) for start in range(0, len(values) - size + 1, size)]
    return sets[:count]


def with_statistics(module: nn.Module, sets: Sequence[Inputs]) -> nn.Module:
    """``module`` in eval mode, its batch norms with the mean and variance that ``sets`` show."""
    norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    module.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the average of all
        norm.train()
    with torch.no_grad():
        for values in sets if norms else ():
            module(*values)
    return module.eval()
