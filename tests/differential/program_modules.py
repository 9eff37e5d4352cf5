"""The torch side of the grammar: a spec becomes a float module. building.py quantizes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import shape_grammar, whole_layers
from .grammar import Program, Step, value_shapes
from .op_kinds import KINDS, Shape


class _Param(nn.Module):
    def __init__(self, shape: Shape, scale: float = 1.0) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.randn(shape) * scale)


class _Constant(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.register_buffer("value", torch.randn(shape) * 2)


class _FloatBlock(nn.Module):
    """Stays in float: what it computes is chosen by its parameter."""

    def __init__(self, variant: int, shape: Shape) -> None:
        super().__init__()
        self.variant = variant
        self.inner = nn.Linear(shape[-1], shape[-1]) if variant == 4 else nn.Identity()

    def forward(self, value: Tensor) -> Tensor:
        if self.variant == 0:
            return torch.sin(value) * 3
        if self.variant == 1:
            return torch.relu(value) + 0.25
        if self.variant == 2:
            return torch.flatten(value, 1)[:, :, None].reshape(value.shape)
        if self.variant == 3:
            return torch.cumsum(value, 1)
        return self.inner(value)


def _conv(dims: int, groups: str = "") -> Callable[[Shape, tuple[float, ...]], nn.Module]:
    def make(shape: Shape, params: tuple[float, ...]) -> nn.Module:
        channels, kernel, stride = (int(item) for item in params[:3])
        split = {"": 1, "all": shape[1], "two": 2}[groups]
        convolution = (nn.Conv1d, nn.Conv2d)[dims - 1]
        return convolution(shape[1], channels, kernel, stride, kernel // 2, groups=split, bias=bool(params[3]))

    return make


def _batch_norm(shape: Shape, params: tuple[float, ...] = ()) -> nn.Module:
    norm = nn.BatchNorm2d(shape[1])
    nn.init.uniform_(norm.weight, 0.5, 2.0)
    nn.init.normal_(norm.bias)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2.0)
    return norm


def _conv_bn(shape: Shape, params: tuple[float, ...]) -> nn.Module:
    return nn.Sequential(_conv(2)(shape, params), _batch_norm((shape[0], int(params[0]))))


class _Conv3d(nn.Module):
    def __init__(self, shape: Shape, groups: int) -> None:
        super().__init__()
        self.inner = nn.Conv3d(shape[1], shape[1], (1, 3, 3), padding=(0, 1, 1), groups=groups)

    def forward(self, value: Tensor) -> Tensor:
        return self.inner(value.unsqueeze(2)).squeeze(2)


#: What a layered kind holds, from the shape it takes and its parameters.
LAYERS: dict[str, Callable[[Shape, tuple[float, ...]], nn.Module]] = {
    "conv2d": _conv(2),
    "conv_bn": _conv_bn,
    "depthwise": _conv(2, "all"),
    "grouped": _conv(2, "two"),
    "conv1d": _conv(1),
    "grouped1d": _conv(1, "two"),
    "conv3d": lambda shape, params: _Conv3d(shape, 1),
    "depthwise3d": lambda shape, params: _Conv3d(shape, shape[1]),
    "transposed": lambda shape, params: nn.ConvTranspose2d(shape[1], shape[1], int(params[0]), int(params[0])),
    "grouped_transposed": lambda shape, params: nn.ConvTranspose2d(
        shape[1], shape[1], int(params[0]), int(params[0]), groups=2
    ),
    "linear": lambda shape, params: nn.Linear(shape[-1], int(params[0]), bias=bool(params[1])),
    "prelu": lambda shape, params: nn.PReLU(shape[1]),
    "add_param": lambda shape, params: _Param((1, shape[1], *[1] * (len(shape) - 2))),
    "mul_param": lambda shape, params: _Param((1, shape[1], *[1] * (len(shape) - 2))),
    "cat_const": lambda shape, params: _Constant(shape),
    "layer_norm": lambda shape, params: nn.LayerNorm(shape[-1]),
    "batch_norm": _batch_norm,
    "group_norm": lambda shape, params: nn.GroupNorm(2, shape[1]),
    "float_block": lambda shape, params: _FloatBlock(int(params[0]), shape),
}


LAYERS |= shape_grammar.layers() | whole_layers.LAYERS


def _transposed_last(value: Tensor) -> Tensor:
    return value.transpose(-1, -2)


def _ints(params: tuple[float, ...]) -> list[int]:
    return [int(item) for item in params]


def _indices(value: Tensor) -> Tensor:
    size = value.shape[1]
    return torch.arange(size - 1, -1, -1)


def _reshape(v: Tensor) -> Tensor:
    s = v.shape
    return v.reshape(s[0], 2, s[1] // 2, *s[2:]) if len(s) < 4 else v.reshape(s[0], s[1] // 2, s[2] * 2, s[3])


_UNARY: dict[str, Callable[[Tensor], Any]] = {
    "relu": torch.relu,
    "relu_": lambda v: F.relu(v, inplace=True),
    "relu6": F.relu6,
    "leaky_relu": lambda v: F.leaky_relu(v, 0.1),
    "elu": F.elu,
    "silu": F.silu,
    "gelu": F.gelu,
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    # What is only defined on one side gets the magnitude: an eager NaN would say nothing.
    "exp": lambda v: torch.exp(v.clamp(-4.0, 4.0)),
    "log": lambda v: torch.log(v.abs() + 0.5),
    "sqrt": lambda v: torch.sqrt(v.abs() + 0.5),
    "rsqrt": lambda v: torch.rsqrt(v.abs() + 0.5),
    "reciprocal": lambda v: torch.reciprocal(v.abs() + 0.5),
    "sin": torch.sin,
    "cos": torch.cos,
    "erf": torch.erf,
    "floor": torch.floor,
    "ceil": torch.ceil,
    "round": torch.round,
    "atan": torch.atan,
    "sign": torch.sign,
    "abs": torch.abs,
    "square": lambda v: v**2,
    "neg": torch.neg,
    "flatten": lambda v: torch.flatten(v, 1),
    "view": lambda v: v.reshape(v.shape[0], v.shape[1], -1),
    "reshape": _reshape,
    "expand": lambda v: v.expand(2, *v.shape[1:]),
    "repeat": lambda v: v.repeat(1, 2, *[1] * (v.dim() - 2)),
    "slice": lambda v: v[:, : v.shape[1] // 2],
    "slice_step": lambda v: v[:, ::2],
    "flip": lambda v: torch.flip(v, [2]),
    "roll": lambda v: torch.roll(v, 1, 2),
    "upsample_nearest": lambda v: F.interpolate(v, scale_factor=2, mode="nearest"),
    "upsample_bilinear": lambda v: F.interpolate(v, scale_factor=2, mode="bilinear", align_corners=False),
    "pixel_shuffle": lambda v: F.pixel_shuffle(v, 2),
    "pixel_unshuffle": lambda v: F.pixel_unshuffle(v, 2),
    "clone": torch.clone,
    "contiguous": lambda v: v.contiguous(),
    "dropout": lambda v: F.dropout(v, 0.3, training=False),
    "index_select": lambda v: torch.index_select(v, 1, _indices(v)),
    "gather": lambda v: v[:, _indices(v)],
    "split": lambda v: torch.split(v, v.shape[1] // 2, 1),
    "chunk": lambda v: torch.chunk(v, 2, 1),
    "unbind": lambda v: torch.unbind(v, 1),
    "max_pool2d": lambda v: F.max_pool2d(v, 2, 2),
    "max_pool2d_default": lambda v: F.max_pool2d(v, 2),
    "max_pool2d_pad": lambda v: F.max_pool2d(v, 3, 1, 1),
    "avg_pool2d": lambda v: F.avg_pool2d(v, 2, 2),
    "avg_pool2d_pad": lambda v: F.avg_pool2d(v, 3, 1, 1),
    "adaptive_avg_pool2d": lambda v: F.adaptive_avg_pool2d(v, 1),
    "mean_hw": lambda v: v.mean((2, 3), keepdim=True),
    "mean_last": lambda v: v.mean(-1),
    "sum_last": lambda v: v.sum(-1),
    "sum_channel": lambda v: v.sum(1, keepdim=True),
    "amax": lambda v: torch.amax(v, 1, keepdim=True),
    "amin": lambda v: torch.amin(v, 1, keepdim=True),
    "max_dim": lambda v: torch.max(v, 1)[0],
    "softmax": lambda v: torch.softmax(v, -1),
    "log_softmax": lambda v: torch.log_softmax(v, -1),
}

_PAIR: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "matmul": lambda a, b: torch.matmul(a, _transposed_last(b)),
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": lambda a, b: a / (b.abs() + 0.5),
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "where_gt": lambda a, b: torch.where(a > b, a, b),
    "where_le": lambda a, b: torch.where(a <= b, b, a),
    "where_eq": lambda a, b: torch.where(a == b, a, b),
    "mask_mul": lambda a, b: a * (b > 0).to(a.dtype),
}

_SCALED: dict[str, Callable[[Tensor, tuple[float, ...]], Tensor]] = {
    "hardtanh": lambda v, p: F.hardtanh(v, p[0], p[1]),
    "clamp": lambda v, p: torch.clamp(v, p[0], p[1]),
    "clamp_min": lambda v, p: torch.clamp(v, min=p[0]),
    "add_scalar": lambda v, p: v + p[0],
    "mul_scalar": lambda v, p: v * p[0],
    "mul_large": lambda v, p: v * p[0],
    "rsub_scalar": lambda v, p: p[0] - v,
    "div_scalar": lambda v, p: v / p[0],
    "masked_fill": lambda v, p: v.masked_fill(v > 1, p[0]),
    "permute": lambda v, p: v.permute(_ints(p)),
    "transpose": lambda v, p: v.transpose(int(p[0]), int(p[1])),
    "movedim": lambda v, p: torch.movedim(v, int(p[0]), int(p[1])),
    "unsqueeze": lambda v, p: v.unsqueeze(int(p[0])),
    "squeeze": lambda v, p: v.squeeze(int(p[0])),
    "select": lambda v, p: v.select(1 + int(p[0]), 0),
    "pad": lambda v, p: F.pad(v, (1, 0, 1, 1), value=p[0]),
}


class ProgramModule(nn.Module):
    """Runs a spec's steps in order."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self.program = program
        shapes = value_shapes(program)
        self.layers = nn.ModuleDict()
        for number, step in enumerate(program.steps):
            if KINDS[step.kind].layered and step.layer is None:
                torch.manual_seed(program.seed + number)
                self.layers[str(number)] = LAYERS[step.kind](shapes[step.args[0]], step.params)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        values = list(inputs)
        for number, step in enumerate(self.program.steps):
            result = self._compute(number, step, [values[arg] for arg in step.args])
            values += list(result) if isinstance(result, tuple | list) else [result]
        return tuple(values[output] for output in self.program.outputs)

    def _compute(self, number: int, step: Step, args: list[Tensor]) -> Any:
        if step.kind in _UNARY:
            return _UNARY[step.kind](args[0])
        if step.kind in _PAIR:
            return _PAIR[step.kind](args[0], args[1])
        if step.kind in _SCALED:
            return _SCALED[step.kind](args[0], step.params)
        if step.kind == "where_scalar":
            return torch.where(args[0] > step.params[0], args[0], args[1])
        if step.kind == "cat":
            return torch.cat(args, 1)
        if step.kind == "concat":
            return torch.concat(args, 1)
        if step.kind == "stack":
            return torch.stack(args, 1)
        layer = self.layers[str(number if step.layer is None else step.layer)]
        if step.kind == "add_param":
            return args[0] + layer.value
        if step.kind == "mul_param":
            return args[0] * layer.value
        if step.kind == "cat_const":
            return torch.cat([args[0], layer.value], 1)
        return layer(*args)
