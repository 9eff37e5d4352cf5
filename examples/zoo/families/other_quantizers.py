"""Programs that are quantized otherwise: by training, by XNNPACK's or torchao's quantizer, with a dynamic batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram

from zoo.data import SEED, Table, batches, digits, images, with_statistics
from zoo.packages import torchvision
from zoo.program import Built, program
from zoo.training import train

_DIGITS = "scikit-learn's digits"


class _Small(nn.Module):
    """A signed branch and a rectified one, joined."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.right = nn.Conv2d(1, 6, 3, padding=1)
        self.head = nn.Linear(12 * 16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        joined = torch.cat([self.left(x), self.right(x)], 1)
        result: torch.Tensor = self.head(nn.functional.max_pool2d(joined, 2).flatten(1))
        return result


def _trained() -> tuple[nn.Module, Table]:
    torch.manual_seed(SEED)
    data = digits()
    return train(_Small(), data.train, data.train_labels, epochs=8), data


def _of_digits(module: nn.Module, data: Table, **options: Any) -> Built:
    return Built(
        module, batches(data.train, 90, 8), batches(data.test, 90, 3), ((data.test,), data.test_labels), **options
    )


def _fake_quantized(built: Built, config: str) -> ExportedProgram:
    """Quantization-aware training with Arm's quantizer: two epochs more, with fake quantization in the graph."""
    from executorch.backends.arm.quantizer import TOSAQuantizer, get_symmetric_quantization_config
    from executorch.backends.arm.tosa.compile_spec import TosaCompileSpec
    from torchao.quantization.pt2e import move_exported_model_to_eval, move_exported_model_to_train
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_qat_pt2e

    from zoo.quantizing import captured, exported

    assert config == "int8"
    quantizer = TOSAQuantizer(TosaCompileSpec("TOSA-1.0+INT"))
    quantizer.set_global(get_symmetric_quantization_config(is_per_channel=True, is_qat=True))
    built.module.train()
    prepared = prepare_qat_pt2e(captured(built), quantizer)
    move_exported_model_to_train(prepared)
    data = digits()
    optimizer = torch.optim.SGD(prepared.parameters(), lr=1e-3)
    for _ in range(2):
        for start in range(0, 1260, 90):
            logits = prepared(data.train[start : start + 90])
            error = nn.functional.cross_entropy(logits, data.train_labels[start : start + 90])
            optimizer.zero_grad()
            error.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    move_exported_model_to_eval(prepared)
    return exported(convert_pt2e(prepared), built)


@program("fuseguard", "quantization-aware training", weights=_DIGITS, quantizer="Arm, QAT", configs=("int8",))
def qat_digits() -> Built:
    """A signed branch and a rectified one."""
    return _of_digits(*_trained(), quantize=_fake_quantized)


def _by_xnnpack(built: Built, config: str) -> ExportedProgram:
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )

    from zoo.quantizing import after_training

    assert config == "int8"
    return after_training(built, XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True)))


@program("fuseguard", "XNNPACK's quantizer", weights=_DIGITS, quantizer="XNNPACK", configs=("int8",))
def xnnpack_digits() -> Built:
    """The same network."""
    return _of_digits(*_trained(), quantize=_by_xnnpack)


@program("torchvision", "XNNPACK's quantizer, residual adds in place", quantizer="XNNPACK", configs=("int8",))
def xnnpack_resnet() -> Built:
    """One stage."""
    resnet = torchvision().models.resnet
    torch.manual_seed(SEED)
    module = resnet.ResNet(resnet.BasicBlock, [1, 1, 1, 1], num_classes=10)
    module.layer3, module.layer4 = nn.Identity(), nn.Identity()
    module.fc = nn.Linear(128, 10)
    sets = images(11, 32)
    statistics = with_statistics(module, images(4, 32, batch=4, seed=7))
    return Built(statistics, sets[:8], sets[8:], quantize=_by_xnnpack)


def _xnnpack_dynamic(built: Built, config: str) -> ExportedProgram:
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )

    from zoo.quantizing import after_training

    assert config == "int8"
    settings = get_symmetric_quantization_config(is_per_channel=True, is_dynamic=True)
    return after_training(built, XNNPACKQuantizer().set_global(settings))


@program(
    "fuseguard", "scales that are computed from each input", weights=_DIGITS, quantizer="XNNPACK, dynamic",
    configs=("int8",),
)  # fmt: skip
def xnnpack_dynamic() -> Built:
    """A linear, an activation and a linear."""
    torch.manual_seed(SEED)
    data = digits()
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))
    return _of_digits(train(module, data.train, data.train_labels, epochs=8), data, quantize=_xnnpack_dynamic)


def _by_torchao(built: Built, config: str) -> ExportedProgram:
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

    from zoo.quantizing import exported

    assert config == "int8"
    quantize_(built.module, Int8DynamicActivationInt8WeightConfig())
    return exported(built.module, built)


@program("fuseguard", "torchao's quantize_, dynamic", weights=_DIGITS, quantizer="torchao", configs=("int8",))
def torchao_dynamic() -> Built:
    """A linear, an activation and a linear."""
    torch.manual_seed(SEED)
    data = digits()
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    return _of_digits(train(module, data.train, data.train_labels, epochs=8), data, quantize=_by_torchao)


def _weights_by_torchao(built: Built, config: str) -> ExportedProgram:
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    from zoo.quantizing import exported

    assert config == "int8"
    quantize_(built.module, Int8WeightOnlyConfig())
    return exported(built.module, built)


@program("fuseguard", "torchao's quantize_, weights alone", weights=_DIGITS, quantizer="torchao", configs=("int8",))
def torchao_weights() -> Built:
    """A linear, an activation and a linear."""
    torch.manual_seed(SEED)
    data = digits()
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    return _of_digits(train(module, data.train, data.train_labels, epochs=8), data, quantize=_weights_by_torchao)


@program("fuseguard", "a dynamic batch, judged for 90", weights=_DIGITS)
def dynamic_batch() -> Built:
    """A signed branch and a rectified one."""
    batch = torch.export.Dim("batch", min=2, max=128)
    return _of_digits(*_trained(), dynamic_shapes=({0: batch},), dims={"x[0]": 90})
