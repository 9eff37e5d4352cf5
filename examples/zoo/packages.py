"""Packages whose binary parts do not fit the installed torch."""

from __future__ import annotations

import functools
from types import ModuleType

import torch

_LIBRARY = torch.library.Library("torchvision", "FRAGMENT")


@functools.cache
def torchvision() -> ModuleType:
    """torchvision, whose own operators are declared without being there: no model of the zoo calls them."""
    for operator in ("nms", "qnms"):
        _LIBRARY.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision.models

    module: ModuleType = torchvision
    return module
