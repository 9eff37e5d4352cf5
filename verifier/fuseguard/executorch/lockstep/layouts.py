"""Finds the same codes in two tensors whose dimensions may be in another order, merged or split."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]

#: Codes that are counted at once.
_AT_ONCE = 1 << 16
#: Dimensions that are permuted at most: 5! = 120 layouts. No layout of the backend has more that are not 1.
_MOST_DIMS = 5


class Alignment(NamedTuple):
    """``values``: the codes of a tensor in the layout of another one. ``differing``: how many are not equal."""

    values: Array
    differing: int
    mean_error: float


def outline(values: Array) -> Array:
    """What stays the same in every layout: the codes in order or, of many of them, how many are no larger than each.

    Arrays of one size and dtype have outlines of one kind.
    """
    limits = np.iinfo(values.dtype)
    if values.size <= limits.max - limits.min:
        return np.sort(values, axis=None)
    counts = np.zeros(limits.max - limits.min + 1, np.int64)
    flat = values.reshape(-1)
    for start in range(0, flat.size, _AT_ONCE):
        counts += np.bincount(flat[start : start + _AT_ONCE].astype(np.int64) - limits.min, minlength=counts.size)
    return np.cumsum(counts)


def least_distance(one: Array, other: Array, size: int) -> float:
    """The mean distance of the sorted codes of two tensors of ``size``, given their outlines.

    No layout brings the tensors nearer to each other. For counts, it is the area between them.
    """
    if not size:
        return 0.0
    return float(np.abs(one.astype(np.int64) - other).sum() / size)


def align(values: Array, like: Array) -> Alignment | None:
    """``values`` in the layout of ``like`` in which the two are nearest; None if the sizes do not fit."""
    if values.size != like.size:
        return None
    best: Alignment | None = None
    wanted = like.astype(np.int64)
    for candidate in _layouts(values, like.shape):
        difference = np.abs(candidate.astype(np.int64) - wanted)
        error = float(difference.mean()) if difference.size else 0.0
        if best is None or error < best.mean_error:
            best = Alignment(candidate, int((difference != 0).sum()), error)
        if error == 0:
            break
    return best


def order_in(values: Array, aligned: Array) -> Array | None:
    """By element of ``aligned`` (what :func:`align` made of ``values``), its number among ``values``."""
    numbers = np.arange(values.size).reshape(values.shape)
    for candidate, order in zip(_layouts(values, aligned.shape), _layouts(numbers, aligned.shape), strict=True):
        if np.array_equal(candidate.view(aligned.dtype), aligned):
            return order
    return None


def _layouts(values: Array, shape: tuple[int, ...]) -> Iterator[Array]:
    """``values`` in every order of its dimensions, in ``shape``.

    Where both have the same dimensions, in whatever order, only orders that lead to ``shape`` are tried.
    """
    squeezed = values.reshape([size for size in values.shape if size != 1] or [1])
    wanted = tuple(size for size in shape if size != 1) or (1,)
    if squeezed.ndim > _MOST_DIMS:
        yield values.reshape(shape)
        return
    same = sorted(squeezed.shape) == sorted(wanted)
    for order in itertools.permutations(range(squeezed.ndim)):
        if not same or tuple(squeezed.shape[dim] for dim in order) == wanted:
            yield squeezed.transpose(order).reshape(shape)
