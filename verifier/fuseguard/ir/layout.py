"""The order in which the dimensions of a tensor lie in memory, and the name that PyTorch has for it.

ExecuTorch writes the same order into a .pte (``Tensor.dim_order`` of schema/program.fbs; ``dim_order_from_stride`` of
executorch/exir/tensor.py makes it from strides).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

CONTIGUOUS = "contiguous"
#: Of dim orders other than that of a contiguous tensor, those with a name (``torch.memory_format``).
_NAMES = {(0, 2, 3, 1): "channels_last", (0, 2, 3, 4, 1): "channels_last_3d"}


@lru_cache(maxsize=1024)
def dim_order_of(shape: tuple[int | None, ...], strides: tuple[int | None, ...]) -> tuple[int, ...] | None:
    """The dimensions of a tensor from the outermost to the innermost in memory. Of several that fit, the first is
    contiguous, as for torch: a tensor of one channel is both contiguous and channels_last.

    Args:
        shape: sizes; None for a symbolic one.
        strides: in elements; None for a symbolic one.

    Returns None if the tensor is not dense (expanded, padded), or if more than one symbolic stride leaves it open.
    """
    if len(shape) != len(strides):
        return None
    unknown = sum(stride is None and size != 1 for size, stride in zip(shape, strides, strict=True))
    if unknown > 1:  # either could be either of two dimensions
        return None
    usual = tuple(range(len(shape)))
    named = [order for order in _NAMES if len(order) == len(shape)]
    given = tuple(sorted(usual, key=lambda axis: -(strides[axis] or 0))) if not unknown else usual
    for order in (usual, *named, given):
        if _fits(order, shape, strides):
            return order
    return None


def _fits(order: Sequence[int], shape: Sequence[int | None], strides: Sequence[int | None]) -> bool:
    """Whether a dense tensor of this order has these strides. The stride of a dimension of one element is free."""
    expected: int | None = 1
    for axis in reversed(order):
        size = shape[axis]
        if size != 1 and strides[axis] != expected:
            return False
        expected = None if expected is None or size is None else expected * max(size, 1)
    return True


def layout_of(dim_order: Sequence[int] | None) -> str:
    """``contiguous`` (the last dimension is the innermost), ``channels_last``, ``channels_last_3d``, ``permuted`` for
    another order; "" if the order is not known.
    """
    if dim_order is None:
        return ""
    order = tuple(dim_order)
    if order == tuple(range(len(order))):
        return CONTIGUOUS
    return _NAMES.get(order, "permuted")


def described_layout(dim_order: Sequence[int] | None) -> str:
    """The same in a report: ``channels_last``, ``dim order 1, 0, 2``, ``unknown layout``."""
    found = layout_of(dim_order)
    if found == "permuted":
        return f"dim order {', '.join(map(str, dim_order or ()))}"
    return found or "unknown layout"
