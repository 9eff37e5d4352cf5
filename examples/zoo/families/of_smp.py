"""Segmentation networks of segmentation-models-pytorch, random weights."""

from __future__ import annotations

from typing import Any

import torch

from zoo.data import SEED, images, with_statistics
from zoo.packages import torchvision
from zoo.program import Built, program


def _made(kind: str, **options: Any) -> Built:
    torchvision()
    import segmentation_models_pytorch as smp

    torch.manual_seed(SEED)
    encoder = {"encoder_name": "timm-mobilenetv3_small_minimal_100", "encoder_weights": None, "encoder_depth": 3}
    module = getattr(smp, kind)(**{**encoder, "classes": 3, **options})
    sets = images(9, 32)
    return Built(with_statistics(module, images(4, 32, batch=4, seed=7)), sets[:6], sets[6:])


@program("segmentation-models-pytorch", "upsampled features concatenated with skips")
def unet() -> Built:
    """Three stages."""
    return _made("Unet", decoder_channels=(32, 16, 8))


@program("segmentation-models-pytorch", "pooling of several sizes, upsampled and concatenated")
def pspnet() -> Built:
    """Three stages."""
    return _made("PSPNet", psp_out_channels=32, psp_use_batchnorm=False)


@program("segmentation-models-pytorch", "transposed convolutions, added skips")
def linknet() -> Built:
    """Three stages."""
    return _made("Linknet")
