"""Trains the small models: seconds each on one core, the same result every time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from zoo.data import SEED


def train(
    module: nn.Module,
    samples: torch.Tensor,
    labels: torch.Tensor,
    *,
    epochs: int,
    batch: int = 64,
    rate: float = 1e-2,
    loss: Callable[[Any, Any], torch.Tensor] = nn.functional.cross_entropy,
) -> nn.Module:
    """``module`` in eval mode, fitted with AdamW and a one-cycle schedule."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(SEED)
    optimizer = torch.optim.AdamW(module.parameters(), lr=rate)
    steps = epochs * (len(labels) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=steps)
    module.train()
    for _ in range(epochs):
        order = torch.randperm(len(labels), generator=generator)
        for start in range(0, len(order) - batch + 1, batch):
            chosen = order[start : start + batch]
            error = loss(module(samples[chosen]), labels[chosen])
            optimizer.zero_grad()
            error.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return module.eval()
