"""Trains, quantizes and exports the classifier: real data, seconds on a CPU, the same result every time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from model import DigitsNet
from sklearn.datasets import load_digits
from torch import nn
from torch.export import ExportedProgram

SEED = 0
TEST_SIZE = 450  # of 1797 images; exported programs have a fixed batch size, and this is it


@dataclass(frozen=True)
class Digits:
    """scikit-learn's handwritten digits, scaled to 0..1 and split once and for all."""

    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor

    @classmethod
    def load(cls) -> Digits:
        images, labels = load_digits(return_X_y=True)
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(SEED))
        x = (torch.tensor(images, dtype=torch.float32) / 16).reshape(-1, 1, 8, 8)[order]
        y = torch.tensor(labels, dtype=torch.int64)[order]
        return cls(x[TEST_SIZE:], y[TEST_SIZE:], x[:TEST_SIZE], y[:TEST_SIZE])


def train(digits: Digits, epochs: int = 8, batch: int = 64) -> DigitsNet:
    """A trained model in eval mode."""
    torch.set_num_threads(1)  # tensors this small gain nothing from more, and lose a lot on a busy machine
    torch.manual_seed(SEED)
    model = DigitsNet()
    steps = epochs * (len(digits.train_labels) // batch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=steps)
    for _ in range(epochs):
        order = torch.randperm(len(digits.train_labels))
        for start in range(0, len(order) - batch + 1, batch):
            chosen = order[start : start + batch]
            loss = nn.functional.cross_entropy(model(digits.train_images[chosen]), digits.train_labels[chosen])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return model.eval()


def quantize(model: nn.Module, calibration: torch.Tensor, example: torch.Tensor) -> ExportedProgram:
    """Post-training quantization with Arm's quantizer and its default configuration, then export."""
    from executorch.backends.arm.quantizer import TOSAQuantizer, get_symmetric_quantization_config
    from executorch.backends.arm.tosa.compile_spec import TosaCompileSpec
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    quantizer = TOSAQuantizer(TosaCompileSpec("TOSA-1.0+INT"))
    quantizer.set_global(get_symmetric_quantization_config(is_per_channel=True))
    prepared = prepare_pt2e(_module(torch.export.export(model, (example,))), quantizer)
    for start in range(0, len(calibration) - len(example) + 1, len(example)):
        prepared(calibration[start : start + len(example)])
    return torch.export.export(convert_pt2e(prepared), (example,))


def _module(program: ExportedProgram) -> Any:
    """The program as a module without guards, which older releases' passes stumble over."""
    try:
        return program.module(check_guards=False)
    except TypeError:  # a torch without guards
        return program.module()
