"""Networks of timm with random weights: its own small test models, and small variants of others."""

from __future__ import annotations

import importlib
from typing import Any

import torch

from zoo.data import SEED, images, with_statistics
from zoo.packages import torchvision
from zoo.program import Built, program


def _timm() -> Any:
    torchvision()  # which timm imports
    torch.manual_seed(SEED)
    return importlib.import_module("timm")


def _made(name: str, size: int = 64, **options: Any) -> Built:
    return _built(_timm().create_model(name, pretrained=False, num_classes=10, **options), size)


def _built(module: torch.nn.Module, size: int) -> Built:
    sets = images(11, size)
    return Built(with_statistics(module, images(4, size, batch=4, seed=7)), sets[:8], sets[8:])


@program("timm", "convolutions with attention-like gates")
def timm_byobnet() -> Built:
    """As it is."""
    return _made("test_byobnet")


@program("timm", "layer norms on images")
def timm_efficientnet_ln() -> Built:
    """As it is."""
    return _made("test_efficientnet_ln")


@program("timm", "group norms")
def timm_efficientnet_gn() -> Built:
    """As it is."""
    return _made("test_efficientnet_gn")


@program("timm", "normalizer-free: scaled weight standardization")
def timm_nfnet() -> Built:
    """As it is."""
    return _made("test_nfnet")


@program("timm", "ConvNeXt with global response norm")
def timm_convnext2() -> Built:
    """As it is."""
    return _made("test_convnext2")


@program("timm", "register tokens, layer scale, QK norm")
def timm_vit3() -> Built:
    """As it is."""
    return _made("test_vit3", 64, img_size=64)


@program("timm", "gated convolutions")
def timm_mambaout() -> Built:
    """As it is."""
    return _made("test_mambaout")


@program("timm", "cheap features concatenated with their sources")
def ghostnet() -> Built:
    """Half width."""
    return _made("ghostnet_050", 32)


@program("timm", "token mixing by a linear over patches")
def mixer() -> Built:
    """Two blocks."""
    return _built(_timm().models.mlp_mixer.MlpMixer(10, 64, patch_size=16, num_blocks=2, embed_dim=48), 64)


@program("timm", "affine transforms instead of norms")
def resmlp() -> Built:
    """Two blocks."""
    mixer = _timm().models.mlp_mixer
    kinds = {"block_layer": mixer.ResBlock, "norm_layer": mixer.Affine}
    return _built(mixer.MlpMixer(10, 64, patch_size=16, num_blocks=2, embed_dim=48, mlp_ratio=4, **kinds), 64)


@program("timm", "pooling instead of attention")
def poolformer() -> Built:
    """Two stages."""
    metaformer = _timm().models.metaformer
    kinds = {"token_mixers": metaformer.Pooling, "norm_layers": metaformer.GroupNorm1, "mlp_act": torch.nn.GELU}
    return _built(metaformer.MetaFormer(num_classes=10, depths=(1, 1), dims=(16, 32), **kinds), 64)


@program("timm", "star operation: a product of two branches with ReLU6")
def starnet() -> Built:
    """Two stages."""
    return _made("starnet_s1", 64, depths=(1, 1, 1, 1), base_dim=8)


@program("timm", "convolutions and attention in turn")
def mobilevit() -> Built:
    """The smallest."""
    return _made("mobilevit_xxs", 64)


@program("timm", "PReLU-free RepVGG branches, three in one")
def repvgg() -> Built:
    """Narrow, branches not merged."""
    return _made("repvgg_a0", 32)


@program("timm", "hierarchical residual splits in a block")
def res2net() -> Built:
    """One block a stage."""
    return _made("res2net50_26w_4s", 64, layers=(1, 1, 1, 1))


@program("timm", "linear attention in ReLU features")
def efficientvit() -> Built:
    """B0 without its last stages."""
    return _made("efficientvit_b0", 64, widths=(8, 16, 24, 32), depths=(1, 1, 1, 1), head_dim=8, head_widths=(64, 64))
