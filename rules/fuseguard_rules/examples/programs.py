"""The float modules of examples, which import torch: they are made when an example's program is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def program_of(module: str, name: str) -> Callable[[], tuple[torch.nn.Module, tuple[torch.Tensor, ...]]]:
    """What ``name`` of ``fuseguard_rules.examples.<module>`` makes: a float module and its inputs."""

    def build() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
        made: tuple[torch.nn.Module, tuple[torch.Tensor, ...]] = getattr(
            importlib.import_module(f"fuseguard_rules.examples.{module}"), name
        )()
        return made

    return build
