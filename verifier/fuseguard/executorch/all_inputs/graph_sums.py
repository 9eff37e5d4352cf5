"""Convolutions, matrix products, averages and maxima of a torch graph, as sums of codes and windows (forms.py)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from fuseguard.executorch.all_inputs.forms import (
    Accumulator,
    Array,
    Constant,
    Elements,
    Expr,
    Expressions,
    Leaves,
    Unsupported,
    groups,
    pointwise,
)
from fuseguard.executorch.all_inputs.monotone import OnAllCodes, is_monotone


class Sums:
    def __init__(self, table: Expressions, leaves: Leaves, on_all_codes: OnAllCodes) -> None:
        self.table = table
        self.leaves = leaves
        self.on_all_codes = on_all_codes
        self.accumulators: list[Accumulator] = []

    def apply(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Elements:
        rule = getattr(self, f"_{name.lstrip('_')}", None)
        if rule is None:
            raise Unsupported(f"{name} has no form here")
        if kwargs:
            raise Unsupported(f"{name} with keyword arguments")
        found: Elements = rule(*args)
        return found

    # Sums ---------------------------------------------------------------------------------------------------------

    def _codes(self, form: Any) -> tuple[Array, float, int, Any]:
        """The operand's elements (-1: a zero), the scale, the zero point and the operand's number."""
        if not isinstance(form, Elements):
            raise Unsupported("a sum of constants, weighted by computed values")
        taps = np.full(form.exprs.size, -1, np.int64)
        found: set[tuple[float, int, Any]] = set()
        for row, where in groups([form.exprs.reshape(-1)]):
            expr = self.table[int(row[0])]
            if expr.key[0] == "const" and expr.key[2] == 0:
                continue
            if expr.key[0] != "fx" or len(expr.args) != 1 or self.table[expr.args[0][0]].key[0] != "leaf":
                raise Unsupported("a sum of values that are no dequantized codes")
            node = self.table.data[expr.key[1]]
            quantized = "dequantize_per_tensor" in str(node.target) and isinstance(node.args[1], float)
            if not quantized or isinstance(expr.kinds[0], tuple):
                raise Unsupported("a sum of values that are no dequantized codes")
            taps[where] = form.leaves[0].reshape(-1)[where]
            found.add((float(node.args[1]), int(node.args[2]), expr.kinds[0]))
        if len(found) != 1:
            raise Unsupported("a sum of values with several scales")
        ((scale, zero_point, kind),) = found
        return taps.reshape(form.shape), scale, zero_point, kind

    def _filters(self, form: Any) -> tuple[Array, Array]:
        """Integer weights ``[filters, taps]``, and the scale of each filter."""
        codes, scales = getattr(form, "codes", None), getattr(form, "scales", None)
        if codes is None or scales is None:
            raise Unsupported("weights that are no constant codes")
        codes, scales = codes.reshape(len(codes), -1), scales.reshape(len(codes), -1)
        if bool((scales != scales[:, :1]).any()):
            raise Unsupported("weights with several scales in one filter")
        return codes, scales[:, 0]

    def _bias(self, form: Any, count: int) -> Array:
        if form is None:
            return np.zeros(count)
        value = getattr(form, "value", None)
        if not isinstance(value, torch.Tensor):
            raise Unsupported("a bias that is computed")
        return np.broadcast_to(value.to(torch.float64).numpy().reshape(-1), (count,))

    def _rows(self, node: Accumulator, shape: Sequence[int]) -> Elements:
        """The sums as elements, in ``shape``: the filters last."""
        node.offset = self.leaves.take(node.rows)
        node.shape = tuple(shape)
        self.accumulators.append(node)
        number = self.table.number(Expr(("leaf",), kinds=(("fx", len(self.accumulators) - 1),)))
        rows = (node.offset + np.arange(node.rows)).reshape(node.shape)
        return Elements(np.full(node.shape, number, np.int64), [rows])

    def _conv2d(
        self, given: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
        groups_: int = 1,
    ) -> Elements:  # fmt: skip
        if isinstance(padding, str):
            raise Unsupported("padding by name")
        taps, scale, zero_point, kind = self._codes(given)
        filters, scales = self._filters(weight)
        kernel = tuple(weight.value.shape[2:])
        if len(kernel) == 1:
            taps = taps[:, :, None, :]
            kernel = (1, *kernel)
            stride, padding, dilation = (1, *_many(stride, 1)), (0, *_many(padding, 1)), (1, *_many(dilation, 1))
        if len(kernel) != 2 or taps.ndim != 4:
            raise Unsupported("a convolution in three dimensions, or without a batch")
        patches, height, width = unfolded(taps, kernel, stride, padding, dilation)
        n, every, places = patches.shape
        patches = patches.reshape(n, groups_, every // groups_, places).transpose(0, 3, 1, 2)
        node = Accumulator(
            0, patches.reshape(n * places * groups_, -1), filters, groups_, zero_point, scale * scales,
            self._bias(bias, len(filters)), kind,
        )  # fmt: skip
        rows = self._rows(node, (n, height, width, len(filters)))
        moved = Elements(np.moveaxis(rows.exprs, -1, 1), [np.moveaxis(leaf, -1, 1) for leaf in rows.leaves])
        if given.exprs.ndim == 3:
            moved = Elements(moved.exprs[:, :, 0], [leaf[:, :, 0] for leaf in moved.leaves])
        return moved

    _conv1d = _conv2d

    def _convolution(
        self, given: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool,
        _output_padding: Any, groups_: int,
    ) -> Elements:  # fmt: skip
        if transposed:
            raise Unsupported("a transposed convolution")
        return self._conv2d(given, weight, bias, stride, padding, dilation, groups_)

    def _linear(self, given: Any, weight: Any, bias: Any = None) -> Elements:
        taps, scale, zero_point, kind = self._codes(given)
        filters, scales = self._filters(weight)
        node = Accumulator(
            0, taps.reshape(-1, taps.shape[-1]), filters, 1, zero_point, scale * scales,
            self._bias(bias, len(filters)), kind,
        )  # fmt: skip
        return self._rows(node, (*taps.shape[:-1], len(filters)))

    def _mm(self, given: Any, other: Any) -> Elements:
        codes, scales = getattr(other, "codes", None), getattr(other, "scales", None)
        if codes is None or scales is None or codes.ndim != 2:
            raise Unsupported("a matrix product of two computed values is bilinear")
        turned = Constant(other.value.transpose(0, 1), codes.T, scales.T)
        return self._linear(given, turned)

    _matmul = _mm

    def _addmm(self, bias: Any, given: Any, other: Any) -> Elements:
        rows = self._mm(given, other)
        node = self.accumulators[-1]
        node.bias = self._bias(bias, len(node.filters))
        return rows

    # Averages -----------------------------------------------------------------------------------------------------

    def _averaged(
        self, patches: Array, counts: Array, scale: float, zero_point: int, kind: Any, shape: Any
    ) -> Elements:
        """``patches``: ``[rows, taps]``; ``counts``: by row, what the sum is divided by."""
        node = Accumulator(
            0, patches, np.ones((1, patches.shape[1]), np.int64), 1, zero_point, np.array([scale]), np.zeros(1), kind
        )
        sums = self._rows(node, shape)
        distinct, which = np.unique(counts, return_inverse=True)
        return pointwise(
            self.table, ("divided",), [sums], which.reshape(tuple(shape)), [(int(item),) for item in distinct]
        )

    def _mean(self, given: Any, dims: Any = None, keepdim: bool = False, divide: bool = True) -> Elements:
        taps, scale, zero_point, kind = self._codes(given)
        dims = [dim % taps.ndim for dim in (range(taps.ndim) if not dims else _many(dims, 1))]
        kept = [dim for dim in range(taps.ndim) if dim not in dims]
        shape = [1 if dim in dims else size for dim, size in enumerate(taps.shape) if keepdim or dim not in dims]
        patches = taps.transpose(*kept, *dims).reshape(math.prod(taps.shape[dim] for dim in kept), -1)
        count = patches.shape[1] if divide else 1
        return self._averaged(patches, np.full(len(patches), count), scale, zero_point, kind, shape)

    def _sum(self, given: Any, dims: Any = None, keepdim: bool = False) -> Elements:
        return self._mean(given, dims, keepdim, divide=False)

    def _avg_pool2d(
        self, given: Any, kernel: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
        include: bool = True, divisor: int | None = None,
    ) -> Elements:  # fmt: skip
        if ceil_mode:
            raise Unsupported("an average with ceil_mode")
        taps, scale, zero_point, kind = self._codes(given)
        kernel = _many(kernel, 2)
        patches, height, width = unfolded(taps, kernel, _many(stride or kernel, 2), padding, 1)
        n, channels = taps.shape[:2]
        by_channel = patches.reshape(n, channels, math.prod(kernel), -1).transpose(0, 1, 3, 2)
        flat = by_channel.reshape(-1, math.prod(kernel))
        counts = np.full(len(flat), divisor or math.prod(kernel)) if include or divisor else (flat >= 0).sum(1)
        return self._averaged(flat, counts, scale, zero_point, kind, (n, channels, height, width))

    def _adaptive_avg_pool2d(self, given: Any, size: Any) -> Elements:
        shape = given.shape
        size = [int(item) for item in _many(size, 2)]
        if any(whole % part for whole, part in zip(shape[-2:], size, strict=True)):
            raise Unsupported("an adaptive average with windows of several sizes")
        return self._avg_pool2d(given, [whole // part for whole, part in zip(shape[-2:], size, strict=True)])

    # Maxima -------------------------------------------------------------------------------------------------------

    def _max_pool2d(
        self, given: Any, kernel: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
    ) -> Elements:
        if ceil_mode:
            raise Unsupported("a maximum with ceil_mode")
        taps = self._extreme(given)
        kernel = _many(kernel, 2)
        patches, height, width = unfolded(taps, kernel, _many(stride or kernel, 2), padding, dilation)
        n, channels = taps.shape[:2]
        by_channel = patches.reshape(n, channels, math.prod(kernel), -1).transpose(0, 1, 3, 2)
        return self._windowed(given, by_channel.reshape(n, channels, height, width, -1))

    _max_pool2d_with_indices = _max_pool2d

    def _amax(self, given: Any, dims: Any = (), keepdim: bool = False) -> Elements:
        taps = self._extreme(given)
        dims = [dim % taps.ndim for dim in (_many(dims, 1) or range(taps.ndim))]
        kept = [dim for dim in range(taps.ndim) if dim not in dims]
        shape = [1 if dim in dims else size for dim, size in enumerate(taps.shape) if keepdim or dim not in dims]
        return self._windowed(given, taps.transpose(*kept, *dims).reshape(*shape, -1))

    def _extreme(self, given: Any) -> Array:
        number = given.uniform() if isinstance(given, Elements) else None
        table = self.table
        if number is None or len(table[number].kinds) != 1 or not is_monotone(table, number, self.on_all_codes):
            raise Unsupported("a maximum of values that are no monotone function of codes")
        return given.leaves[0]  # type: ignore[no-any-return]

    def _windowed(self, given: Elements, patches: Array) -> Elements:
        shape = patches.shape[:-1]
        leaves = self.leaves.window(patches.reshape(-1, patches.shape[-1])).reshape(shape)
        return Elements(np.full(shape, given.uniform(), np.int64), [leaves])


def unfolded(values: Array, kernel: Any, stride: Any, padding: Any, dilation: Any) -> tuple[Array, int, int]:
    """Torch's patches of ``[n, c, h, w]``: ``[n, c * kh * kw, places]``, -1 outside, and height and width of places."""
    kernel, stride, padding, dilation = (_many(item, 2) for item in (kernel, stride, padding, dilation))
    tensor = torch.from_numpy(np.ascontiguousarray(values) + 1).to(torch.float64)
    patches = torch.nn.functional.unfold(tensor, kernel, dilation, padding, stride).to(torch.int64).numpy() - 1
    sizes = [
        (values.shape[2 + dim] + 2 * padding[dim] - dilation[dim] * (kernel[dim] - 1) - 1) // stride[dim] + 1
        for dim in range(2)
    ]
    return patches, sizes[0], sizes[1]


def _many(value: Any, count: int) -> list[int]:
    """Torch takes one number for all dimensions."""
    values = list(value) if isinstance(value, list | tuple) else [value]
    return [int(item) for item in (values * count if len(values) == 1 else values)]
