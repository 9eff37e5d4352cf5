"""Packages whose binary parts do not fit the installed torch."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

import torch

_LIBRARY: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]


@functools.cache
def torchvision() -> ModuleType:
    """torchvision, whose own operators are declared without being there: no model of the zoo calls them."""
    for operator in ("nms", "qnms"):
        _LIBRARY.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision.models

    module: ModuleType = torchvision
    return module
