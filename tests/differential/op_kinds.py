"""The op kinds of the differential grammar: what they take, how their parameters are drawn, what shape they give.

Torch-free: shapes are tracked here so that a drawn program is always a valid one. The torch side of each kind is
in program_modules.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

Shape: TypeAlias = tuple[int, ...]
Params: TypeAlias = tuple[float, ...]

#: No value gets larger than this, so that a program stays cheap to lower and run.
LARGEST = 640


@dataclass(frozen=True)
class OpKind:
    """``takes``: one, pair (two of one shape), or list (two or three of one shape). ``fits`` says which shape it
    takes, ``draw`` its parameters, ``shapes`` the shapes it yields for (shape, number of arguments, parameters).
    """

    name: str
    group: str
    takes: str
    weight: float
    fits: Callable[[Shape], bool]
    draw: Callable[[Random, Shape], Params]
    shapes: Callable[[Shape, int, Params], tuple[Shape, ...]]
    #: Whether it holds weights, which a repeated step may share.
    layered: bool = False


KINDS: dict[str, OpKind] = {}


def _any(shape: Shape) -> bool:
    return True


def _rank(*ranks: int) -> Callable[[Shape], bool]:
    return lambda shape: len(shape) in ranks


def _image(least: int = 2, channels: int = 1) -> Callable[[Shape], bool]:
    """Rank 4, height and width at least ``least``, channels a multiple of ``channels``."""
    return lambda shape: len(shape) == 4 and min(shape[2:]) >= least and shape[1] % channels == 0


def _nothing(random: Random, shape: Shape) -> Params:
    return ()


def _choice(*rows: Params | float) -> Callable[[Random, Shape], Params]:
    table = [row if isinstance(row, tuple) else (row,) for row in rows]
    return lambda random, shape: random.choice(table)


def _same(shape: Shape, count: int, params: Params) -> tuple[Shape, ...]:
    return (shape,)


def _define(
    group: str,
    names: str,
    *,
    takes: str = "one",
    weight: float = 1.0,
    fits: Callable[[Shape], bool] = _any,
    draw: Callable[[Random, Shape], Params] = _nothing,
    shapes: Callable[[Shape, int, Params], tuple[Shape, ...]] = _same,
    layered: bool = False,
) -> None:
    for name in names.split():
        KINDS[name] = OpKind(name, group, takes, weight, fits, draw, shapes, layered)


def _conv(random: Random, shape: Shape) -> Params:
    """Output channels, kernel, stride, bias."""
    channels = shape[1]
    return (
        random.choice((channels, channels, 8)),
        random.choice((1, 3)),
        random.choice((1, 1, 2)),
        random.random() < 0.7,
    )


def _conv_shapes(shape: Shape, count: int, params: Params) -> tuple[Shape, ...]:
    channels, kernel, stride = (int(item) for item in params[:3])
    spatial = tuple((size + 2 * (kernel // 2) - kernel) // stride + 1 for size in shape[2:])
    return ((shape[0], channels, *spatial),)


def _kept(random: Random, shape: Shape) -> Params:
    """As for a convolution that keeps its channels, and its size."""
    return (shape[1], random.choice((1, 3)), 1, random.random() < 0.7)


def _transposed(shape: Shape, count: int, params: Params) -> tuple[Shape, ...]:
    stride = int(params[0])
    return ((shape[0], shape[1], *(size * stride for size in shape[2:])),)


_define("anchor", "conv2d", weight=12, fits=_image(1), draw=_conv, shapes=_conv_shapes, layered=True)
_define("anchor", "conv_bn", weight=1, fits=_image(1), draw=_conv, shapes=_conv_shapes, layered=True)
_define("anchor", "depthwise", weight=3, fits=_image(1), draw=_kept, shapes=_conv_shapes, layered=True)
_define("anchor", "grouped", weight=3, fits=_image(1, 2), draw=_kept, shapes=_conv_shapes, layered=True)
_define("anchor", "conv1d", weight=3, fits=_rank(3), draw=_conv, shapes=_conv_shapes, layered=True)
_define(
    "anchor", "grouped1d", weight=1, fits=lambda s: len(s) == 3 and s[1] % 2 == 0, draw=_kept, shapes=_conv_shapes,
    layered=True,
)  # fmt: skip
_define("anchor", "conv3d depthwise3d", weight=0.4, fits=_image(1), draw=_choice(0.0, 1.0), layered=True)
_define(
    "anchor", "transposed grouped_transposed", weight=0.5, fits=_image(1, 2), draw=_choice((1,), (2,)),
    shapes=_transposed, layered=True,
)  # fmt: skip
_define(
    "anchor", "linear", weight=3, draw=lambda random, shape: (random.choice((shape[-1], 6)), random.random() < 0.7),
    shapes=lambda shape, count, params: ((*shape[:-1], int(params[0])),), layered=True,
)  # fmt: skip
_define(
    "anchor", "matmul", takes="pair", weight=1.5, fits=_rank(3, 4),
    shapes=lambda shape, count, params: ((*shape[:-1], shape[-2]),),
)  # fmt: skip

_define("activation", "relu", weight=5)
_define("activation", "relu6 leaky_relu elu silu gelu hardswish hardsigmoid")
_define("activation", "relu_", weight=4)
_define("activation", "hardtanh clamp", weight=2, draw=_choice((0, 6), (0, 1), (-1, 1), (0.25, 2), (-0.5, 40)))
_define("activation", "clamp_min", weight=1, draw=_choice(0.0, -1.0, 0.5))
_define("activation", "prelu", weight=0.4, fits=_rank(3, 4), layered=True)

_define("table", "sigmoid tanh", weight=1.5)
_define("table", "exp log rsqrt sqrt reciprocal sin cos erf floor ceil round atan sign", weight=0.5)

_define("elementwise", "add mul", takes="pair", weight=4)
_define("elementwise", "sub maximum minimum", takes="pair", weight=2)
_define("elementwise", "div", takes="pair", weight=0.7)
_define("elementwise", "abs square", weight=1)
_define("elementwise", "neg", weight=2)
_define("elementwise", "add_scalar mul_scalar rsub_scalar div_scalar", draw=_choice(0.3, 1.5, -2.0, 7.0))
_define("elementwise", "mul_large", weight=0.7, draw=_choice(20.0, 300.0, 0.01, 1e-4))
_define("elementwise", "add_param mul_param", layered=True)
_define("elementwise", "where_gt where_le where_eq", takes="pair", weight=1)
_define("elementwise", "where_scalar", takes="pair", weight=1, draw=_choice(0.0, 0.5))
_define("elementwise", "masked_fill", draw=_choice(0.0, -1.0, -1000.0))
_define("elementwise", "mask_mul", takes="pair", weight=0.7)


def _permutation(random: Random, shape: Shape) -> Params:
    tail = list(range(1, len(shape)))
    random.shuffle(tail)
    return (0, *tail)


def _permuted(shape: Shape, count: int, params: Params) -> tuple[Shape, ...]:
    return (tuple(shape[int(axis)] for axis in params),)


def _two_dims(random: Random, shape: Shape) -> Params:
    return tuple(random.sample(range(1, len(shape)), 2))


def _swapped(shape: Shape, count: int, params: Params) -> tuple[Shape, ...]:
    first, second = (int(item) for item in params)
    sizes = list(shape)
    sizes[first], sizes[second] = sizes[second], sizes[first]
    return (tuple(sizes),)


def _moved(shape: Shape, count: int, params: Params) -> tuple[Shape, ...]:
    source, target = (int(item) for item in params)
    sizes = list(shape)
    sizes.insert(target, sizes.pop(source))
    return (tuple(sizes),)


def _one_dims(shape: Shape) -> list[int]:
    return [axis for axis, size in enumerate(shape) if size == 1 and axis > 0]


def _doubled(axis: int) -> Callable[[Shape, int, Params], tuple[Shape, ...]]:
    return lambda shape, count, params: ((*shape[:axis], shape[axis] * 2, *shape[axis + 1 :]),)


def _halved(shape: Shape, count: int, params: Params) -> tuple[Shape, ...]:
    return ((shape[0], shape[1] // 2, *shape[2:]),)


def _even(shape: Shape) -> bool:
    return shape[1] % 2 == 0


_deep = _rank(3, 4)
_define("transparent", "flatten", fits=_deep, shapes=lambda s, count, params: ((s[0], math.prod(s[1:])),))
_define("transparent", "view", weight=1.5, fits=_rank(4), shapes=lambda s, count, p: ((s[0], s[1], s[2] * s[3]),))
_define("transparent", "reshape", weight=1, fits=_even, shapes=lambda s, c, p: ((s[0], 2, s[1] // 2, *s[2:])[:4]
        if len(s) < 4 else (s[0], s[1] // 2, s[2] * 2, s[3]),))  # fmt: skip
_define("transparent", "permute", weight=1.5, fits=_deep, draw=_permutation, shapes=_permuted)
_define("transparent", "transpose", fits=_deep, draw=_two_dims, shapes=_swapped)
_define("transparent", "movedim", fits=_deep, draw=_two_dims, shapes=_moved)
_define(
    "transparent", "unsqueeze", fits=_rank(2, 3), draw=lambda random, s: (random.randint(1, len(s)),),
    shapes=lambda s, count, p: ((*s[: int(p[0])], 1, *s[int(p[0]) :]),),
)  # fmt: skip
_define(
    "transparent", "squeeze", weight=2, fits=lambda s: len(s) > 2 and bool(_one_dims(s)),
    draw=lambda random, s: (random.choice(_one_dims(s)),),
    shapes=lambda s, count, p: ((*s[: int(p[0])], *s[int(p[0]) + 1 :]),),
)  # fmt: skip
_define("transparent", "expand", weight=0.7, fits=lambda s: s[0] == 1, shapes=lambda s, c, p: ((2, *s[1:]),))
_define("transparent", "repeat", shapes=_doubled(1))
_define("transparent", "slice", weight=1.5, fits=_even, shapes=_halved)
_define("transparent", "slice_step", fits=_even, weight=0.7, shapes=_halved)
_define("transparent", "select", fits=_deep, draw=_choice(0.0, 1.0),
        shapes=lambda s, c, p: ((*s[: 1 + int(p[0])], *s[2 + int(p[0]) :]),))  # fmt: skip
_define("transparent", "flip", fits=_deep)
_define("transparent", "roll", weight=0.5, fits=_deep)
_define("transparent", "pad", weight=1.5, fits=_rank(4), draw=_choice(0.0, 0.0, 1.5),
        shapes=lambda s, c, p: ((s[0], s[1], s[2] + 2, s[3] + 1),))  # fmt: skip
_define("transparent", "upsample_nearest", fits=_image(1), shapes=lambda s, c, p: ((*s[:2], s[2] * 2, s[3] * 2),))
_define("transparent", "upsample_bilinear", weight=0.7, fits=_image(2),
        shapes=lambda s, c, p: ((*s[:2], s[2] * 2, s[3] * 2),))  # fmt: skip
_define("transparent", "pixel_shuffle", weight=0.7, fits=_image(1, 4),
        shapes=lambda s, c, p: ((s[0], s[1] // 4, s[2] * 2, s[3] * 2),))  # fmt: skip
_define("transparent", "pixel_unshuffle", weight=0.7, fits=lambda s: len(s) == 4 and s[2] % 2 == s[3] % 2 == 0,
        shapes=lambda s, c, p: ((s[0], s[1] * 4, s[2] // 2, s[3] // 2),))  # fmt: skip
_define("transparent", "clone contiguous dropout", weight=0.4)
_define("transparent", "index_select gather", weight=0.7, fits=lambda s: s[1] >= 2)
_define("transparent", "cat concat", takes="list", weight=2.5, shapes=lambda s, c, p: ((s[0], s[1] * c, *s[2:]),))
_define("transparent", "cat_const", layered=True, shapes=_doubled(1))
_define("transparent", "stack", takes="list", fits=_rank(2, 3), weight=2, shapes=lambda s, c, p: ((s[0], c, *s[1:]),))
_define("transparent", "split chunk", weight=1.5, fits=_even, shapes=lambda s, c, p: _halved(s, c, p) * 2)
_define("transparent", "unbind", weight=0.7, fits=lambda s: len(s) > 2 and s[1] <= 4,
        shapes=lambda s, c, p: ((s[0], *s[2:]),) * s[1])  # fmt: skip


def _pooled(shape: Shape, count: int, params: Params) -> tuple[Shape, ...]:
    return ((*shape[:2], *(size // 2 for size in shape[2:])),)


_define("pooling", "max_pool2d avg_pool2d", weight=1.5, fits=_image(2), shapes=_pooled)
_define("pooling", "max_pool2d_default", weight=1, fits=_image(2), shapes=_pooled)
_define("pooling", "max_pool2d_pad avg_pool2d_pad", weight=0.7, fits=_image(3))
_define("pooling", "adaptive_avg_pool2d", weight=1, fits=_image(1), shapes=lambda s, c, p: ((*s[:2], 1, 1),))

_define("reduction", "mean_hw", weight=1.5, fits=_rank(4), shapes=lambda s, c, p: ((*s[:2], 1, 1),))
_define("reduction", "mean_last sum_last", fits=_deep, shapes=lambda s, c, p: (s[:-1],))
_define("reduction", "sum_channel amax amin", fits=_deep, shapes=lambda s, c, p: ((s[0], 1, *s[2:]),))
_define("reduction", "max_dim", weight=0.5, fits=_deep, shapes=lambda s, c, p: ((s[0], *s[2:]),))
_define("composite", "softmax", weight=1.2)
_define("composite", "log_softmax", weight=0.5)
_define("composite", "layer_norm", weight=1, layered=True)
_define("composite", "batch_norm", weight=0.7, fits=_rank(4), layered=True)
_define("composite", "group_norm", weight=0.3, fits=_image(1, 2), layered=True)
#: A submodule that the quantizer is told to leave in float; the parameter chooses what it computes.
_define("float_block", "float_block", weight=1.5, draw=_choice(0, 1, 2, 3, 4), layered=True)


def yields(kind: str, shape: Shape, count: int, params: Params) -> tuple[Shape, ...]:
    """The shapes that a step of ``kind`` gives. Raises KeyError for an unknown kind."""
    return KINDS[kind].shapes(shape, count, params)
