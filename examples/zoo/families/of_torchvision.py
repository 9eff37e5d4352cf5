"""Networks of torchvision with random weights, made narrower through their own constructors."""

from __future__ import annotations

import importlib
from functools import partial
from typing import Any

import torch
from torch import nn

from zoo.data import SEED, images, with_statistics
from zoo.packages import torchvision
from zoo.program import Built, program

_SIZE = 64


def _models() -> Any:
    torch.manual_seed(SEED)
    return torchvision().models


def _built(module: nn.Module, size: int = _SIZE) -> Built:
    sets = images(11, size)
    return Built(with_statistics(module, images(4, size, batch=4, seed=7)), sets[:8], sets[8:])


@program("torchvision", "residual adds in place")
def resnet() -> Built:
    """Two kinds of blocks would be one too many: basic ones, two stages of one."""
    resnet = _models().resnet
    module = resnet.ResNet(resnet.BasicBlock, [1, 1, 1, 1], num_classes=10)
    module.layer4 = nn.Identity()
    module.fc = nn.Linear(256, 10)
    return _built(module)


@program("torchvision", "grouped convolutions")
def resnext() -> Built:
    """Bottleneck blocks of eight groups."""
    resnet = _models().resnet
    module = resnet.ResNet(resnet.Bottleneck, [1, 1, 1, 1], num_classes=10, groups=8, width_per_group=4)
    module.layer3, module.layer4 = nn.Identity(), nn.Identity()
    module.fc = nn.Linear(512, 10)
    return _built(module)


@program("torchvision", "ReLU6 and depthwise convolutions")
def mobilenet_v2() -> Built:
    """Narrow, with five of its stages."""
    settings = [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 2, 2], [6, 64, 1, 2], [6, 96, 1, 1]]
    return _built(_models().MobileNetV2(10, 0.35, settings))


@program("torchvision", "hard swish, squeeze-and-excitation")
def mobilenet_v3() -> Built:
    """Small, with four of its blocks."""
    models = _models()
    config = partial(models.mobilenetv3.InvertedResidualConfig, dilation=1, width_mult=0.5)
    settings = [
        config(16, 3, 16, 16, True, "RE", 2), config(16, 3, 72, 24, False, "RE", 2),
        config(24, 5, 96, 40, True, "HS", 2), config(40, 5, 240, 40, True, "HS", 1),
    ]  # fmt: skip
    return _built(models.MobileNetV3(settings, 128, 10))


@program("torchvision", "ReLU branches concatenated with signed ones")
def densenet() -> Built:
    """Growth of 8, three dense blocks of two layers."""
    return _built(_models().DenseNet(8, (2, 2, 2), 16, num_classes=10))


@program("torchvision", "ReLU branches concatenated")
def squeezenet() -> Built:
    """SqueezeNet 1.1 as it is."""
    return _built(_models().SqueezeNet("1_1", 10))


@program("torchvision", "channel shuffle, chunk")
def shufflenet() -> Built:
    """ShuffleNetV2, narrow and shallow."""
    return _built(_models().ShuffleNetV2([2, 2, 2], [8, 24, 48, 96, 128], 10))


@program("torchvision", "four branches of an Inception block")
def inception() -> Built:
    """The stem and two blocks of GoogLeNet."""
    _models()
    googlenet = importlib.import_module("torchvision.models.googlenet")  # models.googlenet is a function
    block = partial(googlenet.Inception, conv_block=googlenet.BasicConv2d)
    module = nn.Sequential(
        googlenet.BasicConv2d(3, 16, kernel_size=7, stride=2, padding=3), nn.MaxPool2d(3, 2, ceil_mode=True),
        block(16, 16, 8, 16, 4, 8, 8), block(48, 16, 16, 24, 4, 8, 16), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(64, 10),
    )  # fmt: skip
    return _built(module)


@program("torchvision", "SiLU, stochastic depth")
def efficientnet() -> Built:
    """Three stages of EfficientNet."""
    models = _models()
    config = partial(models.efficientnet.MBConvConfig, width_mult=0.5, depth_mult=1.0)
    settings = [config(1, 3, 1, 32, 16, 1), config(6, 3, 2, 16, 24, 2), config(6, 5, 2, 24, 40, 1)]
    return _built(models.EfficientNet(settings, 0.2, num_classes=10))


@program("torchvision", "grouped convolutions, squeeze-and-excitation")
def regnet() -> Built:
    """RegNetY, two stages."""
    regnet = _models().regnet
    params = regnet.BlockParams([1, 1], [24, 48], [8, 8], [1.0, 1.0], [2, 2], 0.25)
    return _built(regnet.RegNet(params, 10))


@program("torchvision", "multipliers in depth")
def mnasnet() -> Built:
    """MNASNet 0.35 without its last two stages."""
    module = _models().MNASNet(0.35, 10)
    layers = list(module.layers.children())
    return _built(nn.Sequential(*layers[:11], nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(10)))


@program("torchvision", "layer norm on permuted channels, layer scale")
def convnext() -> Built:
    """Two narrow stages."""
    models = _models()
    config = models.convnext.CNBlockConfig
    return _built(models.ConvNeXt([config(16, 32, 1), config(32, None, 1)], num_classes=10))


@program("torchvision", "class token, multi-head attention")
def vit() -> Built:
    """Two layers on 16 patches."""
    return _built(_models().VisionTransformer(32, 8, 2, 4, 32, 64, num_classes=10), 32)


@program("torchvision", "shifted windows: roll, masks")
def swin() -> Built:
    """Two stages of two blocks."""
    return _built(_models().SwinTransformer([4, 4], 16, [2, 2], [2, 2], [4, 4], num_classes=10), 32)


@program("torchvision", "dilated convolutions, upsampling, two branches")
def lraspp() -> Built:
    """LRASPP on a few layers of a MobileNetV3."""
    module = _models()
    segmentation = module.segmentation
    backbone = nn.ModuleDict({"low": nn.Conv2d(3, 16, 3, 2, 1), "high": nn.Conv2d(16, 32, 3, 2, 1)})

    class Backbone(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = backbone

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            low = nn.functional.relu(self.parts["low"](x))
            return {"low": low, "high": nn.functional.relu(self.parts["high"](low))}

    return _built(_Output(segmentation.LRASPP(Backbone(), 16, 32, 5, inter_channels=16), "out"))


class _Output(nn.Module):
    """One result of those in a dict."""

    def __init__(self, module: nn.Module, key: str) -> None:
        super().__init__()
        self.module = module
        self.key = key

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.module(x)[self.key]
        return result


@program("torchvision", "3-D convolutions", configs=("int8",))
def video_resnet() -> Built:
    """The stem and one block of R3D on four frames."""
    resnet = _models().video.resnet
    block = resnet.BasicBlock(64, 64, resnet.Conv3DSimple)
    module = nn.Sequential(resnet.BasicStem(), block, nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(64, 5))
    frames = [(torch.stack([values[0][0] for values in images(4, 24, seed=seed)], 1)[None],) for seed in range(8)]
    return Built(with_statistics(module, frames[:4]), frames[:5], frames[5:])
