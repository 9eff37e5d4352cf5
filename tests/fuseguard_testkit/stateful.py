"""Quantized programs with state, written out by hand: releases before 1.4 lose state when they quantize it."""

from __future__ import annotations

from typing import Any

import torch
import torch.ao.quantization.fx._decomposed  # registers the quantize and dequantize ops
from torch.export import ExportedProgram

from fuseguard.ir import QParams
from fuseguard.ir.builder import int8

#: The ways to write two rows of a cache, in place but for the last.
WAYS = ("index_copy_", "index_put_", "slice", "slice_scatter")
_ANNOTATED = ("avg_pool2d", "conv2d", "linear", "relu", "bmm", "cat", "add", "mul", "transpose")
#: Where a ReLU ends in it, codes below the zero point are reached (FU101).
SIGNED = int8(0.0517, -17)
NONNEGATIVE = int8(0.0517, -128)
DATA = int8(0.0487, 3)


def several(value: torch.Tensor, qparams: QParams, readers: int) -> list[torch.Tensor]:
    """``value`` through a quantize op, and a dequantize op for each reader, as Arm's quantizer has it."""
    numbers = (qparams.scale, qparams.zero_point, qparams.qmin, qparams.qmax, torch.int8)
    codes = torch.ops.quantized_decomposed.quantize_per_tensor(value, *numbers)
    return [torch.ops.quantized_decomposed.dequantize_per_tensor(codes, *numbers) for _ in range(readers)]


def through(value: torch.Tensor, qparams: QParams) -> torch.Tensor:
    """``value`` through a quantize and a dequantize op."""
    return several(value, qparams, 1)[0]


class _Quantized(torch.nn.Module):
    weight: torch.Tensor
    bias: torch.Tensor
    state: torch.Tensor

    def __init__(self, weight: tuple[int, ...], state: tuple[int, ...], bias: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("weight", torch.randint(-127, 128, weight, generator=generator, dtype=torch.int8))
        self.register_buffer("bias", torch.full(weight[:1], bias, dtype=torch.int32))
        self.register_buffer("state", torch.zeros(state))

    def parameters_in_float(self) -> tuple[torch.Tensor, torch.Tensor]:
        dequantize = torch.ops.quantized_decomposed.dequantize_per_tensor
        weight = dequantize(self.weight, 0.01031, 0, -127, 127, torch.int8)
        limits = torch.iinfo(torch.int32)
        return weight, dequantize(self.bias, DATA.scale * 0.01031, 0, limits.min + 1, limits.max, torch.int32)


class Cache(_Quantized):
    """``relu(linear(x))`` goes to rows 2 and 3 of the state, of which the whole is read before and after."""

    def __init__(self, way: str, kept: QParams = SIGNED) -> None:
        super().__init__((4, 4), (1, 8, 4))
        self.way = way
        self.kept = kept

    def forward(self, x: torch.Tensor, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        first, second, third = several(x, DATA, 3)
        before = self._read(first)
        new = through(torch.relu(torch.nn.functional.linear(second, *self.parameters_in_float())), self.kept)
        if self.way == "index_copy_":
            self.state.index_copy_(1, rows, new)
        elif self.way == "index_put_":
            self.state[:, rows] = new
        elif self.way == "slice":
            self.state[:, 2:4] = new
        else:
            self.state.copy_(torch.slice_scatter(self.state, new, 1, 2, 4))
        return before, self._read(third)

    def _read(self, x: torch.Tensor) -> torch.Tensor:
        turned = through(through(self.state, self.kept).transpose(1, 2), self.kept)
        return through(torch.bmm(x, turned), int8(0.1))


class Joined(_Quantized):
    """The state is ``cat([relu(conv(x)), x])``; the output has nothing to do with it."""

    def __init__(self) -> None:
        super().__init__((4, 4, 3, 3), (1, 8, 8, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        image, left, right = several(x, DATA, 3)
        y = through(torch.relu(torch.nn.functional.conv2d(image, *self.parameters_in_float(), padding=1)), SIGNED)
        self.state.copy_(through(torch.cat([y, through(x, SIGNED)], 1), SIGNED))
        return through(left + right, int8(2 * DATA.scale, DATA.zero_point))


class Delayed(_Quantized):
    """A convolution reads the state as the last call left it. What the first call reads is zero."""

    def __init__(self) -> None:
        super().__init__((4, 4, 3, 3), (1, 4, 8, 8), bias=1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        last = through(self.state, DATA)
        y = through(torch.relu(torch.nn.functional.conv2d(last, *self.parameters_in_float(), padding=1)), SIGNED)
        self.state.copy_(through(x, DATA))
        return y


class Counter(torch.nn.Module):
    """An input and an integer buffer that the program changes."""

    count: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(1, dtype=torch.int64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.count.add_(1)
        x.mul_(2.0)
        return x + self.count


def program(module: torch.nn.Module, *inputs: Any) -> ExportedProgram:
    """The exported module, its ops marked as Arm's quantizer would mark them."""
    with torch.no_grad():
        exported = torch.export.export(module.eval(), inputs)
    for node in exported.graph.nodes:
        if node.op == "call_function" and str(node.target).split(".")[1] in _ANNOTATED:
            node.meta["custom"] = {**(node.meta.get("custom") or {}), "_arm_annotation_info": {"quantized": True}}
    return exported


def cache(way: str, kept: QParams = SIGNED) -> tuple[ExportedProgram, tuple[torch.Tensor, ...]]:
    generator = torch.Generator().manual_seed(1)
    inputs = (4 * torch.randn(1, 2, 4, generator=generator), torch.tensor([2, 3]))
    return program(Cache(way, kept), *inputs), inputs


def with_image(module: torch.nn.Module) -> tuple[ExportedProgram, tuple[torch.Tensor, ...]]:
    inputs = (3 * torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1)),)
    return program(module, *inputs), inputs
