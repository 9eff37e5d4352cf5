"""Which ops the partitioner leaves on the CPU for Ethos-U55 and U65 alone.

These accelerators have no bools, no comparison, no select, no gather and no scatter, and take convolutions, pools,
resizes and reversals of some sizes and steps only.

Source: ``EthosU55NotSupported``, ``EthosU55DtypeSupport``, ``EthosU55CastCheck``, ``EthosU55ResizeCheck`` and
``EthosU55ReverseCheck`` (operator_support/ethos_u55_support.py), ``CheckDtypeInputsAndOutputs``, which refuses bools,
and the U55 parts of convolution_support.py, pool_2d_support.py and reduce_sum_support.py of ExecuTorch 1.5.1. Earlier
releases have a shorter list of these checks.

Rules that depend on it: those of partition.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from math import prod

from fuseguard.backend.op_sets_support import NOT_ON_U55
from fuseguard.backend.releases import COPIES_MORE_ON_U55, DIVIDES_MAX_POOLS_ON_U55, MULTIPLIES_INT8_ON_U55
from fuseguard.ir import Node, View
from fuseguard.ir.graph import Arg
from fuseguard.ir.ops import CASTS
from fuseguard.target import Target

_LARGEST_DIM = 65536
_LARGEST_STRIDE = 3
_NEAREST = (2, 4, 8)
#: Ranks of the input, and lengths of the padding, of a reflection that is a reversal.
_REFLECTIONS = {
    "reflection_pad1d": ((2, 3), (2,)), "reflection_pad2d": ((3, 4), (2, 4)), "reflection_pad3d": ((4, 5), (6,)),
}  # fmt: skip


def is_refused_on_u55(view: View, node: Node, target: Target) -> bool:
    """Whether Ethos-U55 and U65 lack the op, so that it stays on the CPU there."""
    if node.target in _unsupported(str(target.release)) or _has_bools(view, node) or _casts_from_int32(view, node):
        return True
    check = _CHECKS.get(node.kind)
    if check is None and COPIES_MORE_ON_U55.in_force(target):  # before, the list has them
        check = _COPIES.get(node.kind) or _COPIES.get(node.operator)
    return check is not None and check(view, node, target)


@lru_cache(maxsize=16)
def _unsupported(release: str) -> frozenset[str]:
    return NOT_ON_U55.on(release)


def _has_bools(view: View, node: Node) -> bool:
    values = (node, *view.graph.inputs(node))
    return any(item.meta is not None and item.meta.dtype == "bool" for item in values)


def _casts_from_int32(view: View, node: Node) -> bool:
    source = view.producer(node) if node.operator in CASTS else None
    if source is None or source.meta is None or node.meta is None:
        return False
    return source.meta.dtype == "int32" != node.meta.dtype


def _shape(view: View, node: Node) -> tuple[int, ...] | None:
    """The sizes of the first operand; None if they are not all known."""
    data = view.producer(node)
    if data is None or data.meta is None:
        return None
    sizes = tuple(size for size in data.meta.shape if size is not None)
    return sizes if len(sizes) == data.meta.rank else None


def _matmul(view: View, node: Node, target: Target) -> bool:
    """Since 1.3, the operands have to be int8."""
    operands = [view.in_qp(node, place) for place in (0, 1)]
    wide = any(qparams is not None and qparams.dtype != "int8" for qparams in operands)
    return wide and MULTIPLIES_INT8_ON_U55.in_force(target)


def _conv(view: View, node: Node, target: Target) -> bool:
    """``ConvolutionSupported._is_node_supported_u55``."""
    del target
    weight = view.graph.node_of(node.args[1])
    data = view.producer(node)
    if weight is None or weight.meta is None or data is None or data.meta is None or None in weight.meta.shape:
        return False
    kernel = [size or 0 for size in weight.meta.shape[2:]]
    spatial = len(kernel)
    strides = _sizes(node.arg(3, "stride", 1), spatial)
    height, width = kernel[0], kernel[1] if spatial > 1 else 1
    if view.transposed(node):
        sides = data.meta.shape[2:]
        fits = (
            strides in ([1, 1], [2, 2])
            or (strides == [1, 2] and sides[0] == height == 1)
            or (strides == [2, 1] and sides[1] == width == 1)
        )
        return not fits or height > 64 or height * width > 4096
    if width > 64 or height * width > 4096 or (spatial > 2 and (kernel[2] != 1 or strides[2] > 1)):
        return True
    padding = node.arg(4, "padding", 0)
    padded = padding not in ("valid", 0) and any(size > 0 for size in _sizes(padding, spatial))
    dilations = _sizes(node.arg(5, "dilation", 1), spatial)
    pairs = zip(strides, dilations, strict=False)
    return any(stride > _LARGEST_STRIDE and (padded or dilation != 1) for stride, dilation in pairs)


def _pool(view: View, node: Node, target: Target) -> bool:
    """``AvgPool2dSupported`` and ``MaxPool2dSupported``; an average of several images is computed on the CPU."""
    kernel = _sizes(node.arg(1, "kernel_size", 1), 2)
    strides = _sizes(node.arg(2, "stride", None) or node.arg(1, "kernel_size", 1), 2)
    shape = _shape(view, node)
    if shape is None:
        return False
    if len(shape) == 3:
        shape = (1, *shape)
    refused = prod(kernel) > _LARGEST_DIM or kernel[1] > 256 or max(shape[1:]) > _LARGEST_DIM
    far = any(stride > _LARGEST_STRIDE for stride in strides)
    if far and node.kind != "avg_pool2d" and DIVIDES_MAX_POOLS_ON_U55.in_force(target):
        far = kernel != strides or not _is_plain(node)
    refused = refused or far
    if node.kind != "avg_pool2d":
        return refused
    inside = node.arg(5, "count_include_pad", True) or node.arg(6, "divisor_override", None) is not None
    padded = not inside and any(_sizes(node.arg(3, "padding", 0), 2))
    return refused or shape[0] != 1 or (padded and max(kernel) > 8)


def _is_plain(pool: Node) -> bool:
    """Whether a max pool has neither padding nor dilation, and rounds its size down."""
    padding, dilation = _sizes(pool.arg(3, "padding", 0), 2), _sizes(pool.arg(4, "dilation", 1), 2)
    return not any(padding) and max(dilation) == 1 and pool.arg(5, "ceil_mode", False) is not True


def _sum(view: View, node: Node, target: Target) -> bool:
    """``SumSupported``: the products of the sizes before and after each dimension that is summed."""
    del target
    shape = _shape(view, node)
    if shape is None:
        return False
    dims = node.arg(1, "dim", None)
    chosen = [dims] if isinstance(dims, int) else dims if isinstance(dims, tuple) and dims else range(len(shape))
    places = [dim % max(len(shape), 1) for dim in chosen if isinstance(dim, int)]
    return any(
        max(prod(shape[:place]), shape[place], prod(shape[place + 1 :])) > _LARGEST_DIM
        for place in places if place < len(shape)
    )  # fmt: skip


def _nearest(view: View, node: Node, target: Target) -> bool:
    """``EthosU55ResizeCheck``: one image, twice, four or eight times as high and as wide."""
    del target
    data = view.producer(node)
    if data is None or data.meta is None or node.meta is None or data.meta.rank != 4:
        return False
    before, after = data.meta.shape, node.meta.shape
    if before[0] != 1 or after[0] != 1:
        return True
    return not any(
        after[2] == (before[2] or 0) * scale and after[3] == (before[3] or 0) * scale for scale in _NEAREST
    )


def _flip(view: View, node: Node, target: Target) -> bool:
    """``EthosU55ReverseCheck``: the channels or the rows of images."""
    del target
    data, dims = view.producer(node), node.arg(1, "dims")
    if data is None or data.meta is None or not isinstance(dims, tuple):
        return False
    first = dims[0] if len(dims) == 1 else None
    return not (data.meta.rank == 4 and isinstance(first, int) and first % 4 in (1, 2))


def _reflection(view: View, node: Node, target: Target) -> bool:
    """``EthosU55ReverseCheck``: some ranks, and less padding than the size of the dimension."""
    del target
    data, padding = view.producer(node), node.arg(1, "padding")
    if data is None or data.meta is None or not isinstance(padding, tuple):
        return False
    ranks, lengths = _REFLECTIONS[node.operator]
    if data.meta.rank not in ranks or len(padding) not in lengths:
        return True
    sizes = data.meta.shape[-(len(padding) // 2) :][::-1]
    pairs = zip(padding[::2], padding[1::2], sizes, strict=True)
    return not all(_within(before, size) and _within(after, size) for before, after, size in pairs)


def _within(pad: Arg, size: int | None) -> bool:
    return isinstance(pad, int) and size is not None and 0 <= pad < size


def _sizes(arg: Arg, number: int) -> list[int]:
    """One size for each dimension, of a number or a list of one or all."""
    given = [item for item in arg if isinstance(item, int)] if isinstance(arg, tuple) else []
    if isinstance(arg, int):
        given = [arg]
    return given * number if len(given) == 1 else given or [1] * number


_CHECKS: Mapping[str, Callable[[View, Node, Target], bool]] = {
    "matmul": _matmul, "conv": _conv, "avg_pool2d": _pool, "max_pool2d": _pool, "max_pool2d_with_indices": _pool,
    "sum": _sum,
}  # fmt: skip
#: Those of ops that were on the list before there were checks of them.
_COPIES: Mapping[str, Callable[[View, Node, Target], bool]] = {
    "upsample_nearest2d": _nearest, "flip": _flip, **dict.fromkeys(_REFLECTIONS, _reflection),
}  # fmt: skip
