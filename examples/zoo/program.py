"""What a program of the zoo is, and the register that the modules in ``families`` fill."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.export import ExportedProgram

#: One value for each input of a program.
Inputs: TypeAlias = tuple[torch.Tensor, ...]

#: The quantizations that a program is judged in: activations and weights in 8 bits, or 16-bit activations.
CONFIGS = ("int8", "a16w8")


@dataclass(frozen=True)
class Built:
    """A float module with all that it takes to quantize and judge it.

    Attributes:
        module: in eval mode, with trained weights or random ones; its batch norms have the statistics of data.
        calibration: what the observers see, several input sets.
        inputs: what the lowering is judged on, several input sets of one shape.
        test: inputs, [samples, ...] each, and labels, [samples]. None where there is no task.
        dynamic_shapes: as for ``torch.export.export``.
        dims: the sizes for which a program with dynamic shapes is judged, as for ``fuseguard prove --dim``.
        decompose: whether writes in place become values before the quantizer sees the program, which state needs.
        quantize: what quantizes it instead of Arm's quantizer; called with this and one of CONFIGS.
    """

    module: nn.Module
    calibration: Sequence[Inputs]
    inputs: Sequence[Inputs]
    test: tuple[Inputs, torch.Tensor] | None = None
    dynamic_shapes: Any = None
    dims: Mapping[str, int] = field(default_factory=dict)
    decompose: bool = False
    quantize: Callable[[Built, str], ExportedProgram] | None = None


@dataclass(frozen=True)
class Program:
    """An entry of the register.

    Attributes:
        name: unique, also the name of its files.
        family: the module that it is defined in.
        source: the package that ships the model code, or "fuseguard" for code of this project.
        licence: of that code and, if it ships them, of the weights.
        special: what it is there for, in a few words.
        weights: "random", or what the weights were trained on.
        quantizer: "Arm", or whose quantizer is used instead.
        configs: those of CONFIGS that it is quantized in.
        metric: as for ``fuseguard evaluate``, where there is a task.
        build: makes it; the same result every time.
    """

    name: str
    family: str
    source: str
    licence: str
    special: str
    weights: str
    quantizer: str
    configs: tuple[str, ...]
    metric: str
    build: Callable[[], Built]


_PROGRAMS: dict[str, Program] = {}

_LICENCES = {
    "fuseguard": "BSD-3-Clause",
    "torchvision": "BSD-3-Clause",
    "timm": "Apache-2.0",
    "transformers": "Apache-2.0",
    "segmentation-models-pytorch": "MIT",
    "facenet-pytorch": "MIT",
}


def program(
    source: str,
    special: str,
    *,
    weights: str = "random",
    quantizer: str = "Arm",
    configs: tuple[str, ...] = CONFIGS,
    metric: str = "top-1",
) -> Callable[[Callable[[], Built]], Callable[[], Built]]:
    """Registers the function that builds a program under its own name. Raises ValueError: it is taken."""

    def register(build: Callable[[], Built]) -> Callable[[], Built]:
        name = build.__name__
        if name in _PROGRAMS:
            raise ValueError(f"there are two programs {name!r}")
        family = build.__module__.rpartition(".")[2]
        _PROGRAMS[name] = Program(
            name, family, source, _LICENCES[source], special, weights, quantizer, configs, metric, build
        )
        return build

    return register


def programs() -> dict[str, Program]:
    """Every program by its name. Importing the modules needs torch; building needs the packages of their sources."""
    families = importlib.import_module("zoo.families")
    for module in pkgutil.iter_modules(families.__path__):
        importlib.import_module(f"zoo.families.{module.name}")
    return dict(_PROGRAMS)
