"""Programs around islands, made through Arm's own quantizer: the space that the FU rules are about."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from fuseguard_rules.examples.fusion.modules import anchor_module

ANCHORS = (
    "conv2d", "depthwise", "grouped", "conv1d", "grouped1d", "conv3d", "depthwise3d", "transposed", "linear",
)  # fmt: skip
ACTIVATIONS = ("none", "relu", "relu_", "hardtanh", "relu6", "clamp", "clamp_min")
CONSUMERS = (
    "output", "cat", "cat_positive", "stack", "add", "mul", "fork", "anchor", "where", "cat_then_anchor", "shared",
)  # fmt: skip
CONFIGS = ("int8-per-channel", "int8-per-tensor", "int8-narrow", "a16w8")


@dataclass(frozen=True)
class IslandSpec:
    """One program: anchor -> activation -> consumer, and how it is quantized and fed."""

    anchor: str
    activation: str
    low: float
    high: float
    consumer: str
    config: str
    int_only: bool
    reach: float  # largest magnitude of the second input: how far the shared range is widened
    seed: int

    @property
    def profile(self) -> str:
        spec = "TOSA-1.0+INT" if self.int_only else "TOSA-1.0+INT+FP"
        return spec + "+int16" if self.config == "a16w8" else spec


def island_specs() -> st.SearchStrategy[IslandSpec]:
    return st.builds(
        IslandSpec,
        anchor=st.sampled_from(ANCHORS),
        activation=st.sampled_from(ACTIVATIONS),
        low=st.sampled_from((0.0, 0.0, 0.0, -1.0, 0.25)),
        high=st.sampled_from((6.0, 1.0, 2.5)),
        consumer=st.sampled_from(CONSUMERS),
        config=st.sampled_from(CONFIGS),
        int_only=st.booleans(),
        reach=st.sampled_from((0.5, 3.0, 9.0, 40.0)),
        seed=st.integers(0, 7),
    )


class IslandProgram(nn.Module):
    def __init__(self, spec: IslandSpec) -> None:
        super().__init__()
        self.spec = spec
        self.anchor, self.shape = anchor_module(spec.anchor)
        if spec.consumer in ("anchor", "cat_then_anchor"):
            self.second = self._second_anchor()

    def _second_anchor(self) -> nn.Module:
        with torch.no_grad():
            shape = self.anchor(torch.zeros(self.shape)).shape
        channels = shape[1] * (2 if self.spec.consumer == "cat_then_anchor" else 1)
        if len(shape) == 2:
            return nn.Linear(channels, 4)
        return {3: nn.Conv1d, 4: nn.Conv2d, 5: nn.Conv3d}[len(shape)](channels, 3, 1)

    def activate(self, value: torch.Tensor) -> torch.Tensor:
        spec = self.spec
        if spec.activation == "relu":
            return torch.relu(value)
        if spec.activation == "relu_":
            return F.relu(value, inplace=True)
        if spec.activation == "hardtanh":
            return F.hardtanh(value, spec.low, spec.high)
        if spec.activation == "relu6":
            return F.relu6(value)
        if spec.activation == "clamp":
            return torch.clamp(value, spec.low, spec.high)
        if spec.activation == "clamp_min":
            return torch.clamp(value, min=spec.low)
        return value

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        raw = self.anchor(x)
        value = self.activate(raw)
        consumer = self.spec.consumer
        if consumer in ("cat", "cat_positive"):
            return torch.cat([value, y], 1)
        if consumer == "stack":
            return torch.stack([value, y], 1)
        if consumer == "add":
            return value + y
        if consumer == "mul":
            return value * y
        if consumer == "fork":
            return torch.cat([value, y], 1), torch.sigmoid(value)
        if consumer == "anchor":
            return self.second(value)
        if consumer == "where":
            return torch.where(y > 0, value, y)
        if consumer == "shared":
            return torch.cat([value, y], 1), torch.sigmoid(x), x + x.abs()
        if consumer == "cat_then_anchor":
            return self.second(torch.cat([value, y], 1))
        return value


def build(spec: IslandSpec) -> tuple[IslandProgram, tuple[torch.Tensor, ...]]:
    """The module and its calibration inputs."""
    torch.manual_seed(spec.seed)
    module = IslandProgram(spec).eval()
    x = torch.randn(module.shape) * 6
    with torch.no_grad():
        y = torch.randn(module.anchor(x).shape)
    y = y * (spec.reach / float(y.abs().max()))
    return module, (x, y.abs() if spec.consumer == "cat_positive" else y)
