"""The order of dimensions in memory, as torch sees it. Needs torch only where it is compared with torch."""

from __future__ import annotations

import pytest

from fuseguard.ir.layout import described_layout, dim_order_of, layout_of

Sizes = tuple[int | None, ...]


@pytest.mark.parametrize(
    ("shape", "strides", "layout", "order"),
    [
        ((1, 3, 8, 8), (192, 64, 8, 1), "contiguous", (0, 1, 2, 3)),
        ((2, 3, 8, 8), (192, 1, 24, 3), "channels_last", (0, 2, 3, 1)),
        ((1, 3, 2, 4, 5), (120, 1, 60, 15, 3), "channels_last_3d", (0, 2, 3, 4, 1)),
        ((2, 3, 4), (1, 8, 2), "permuted", (1, 2, 0)),
        ((), (), "contiguous", ()),
        ((7,), (1,), "contiguous", (0,)),
        ((2, 1, 4, 4), (16, 1, 4, 1), "contiguous", (0, 1, 2, 3)),  # one channel: both, and torch says contiguous
        ((2, 3, 1, 1), (3, 1, 3, 3), "contiguous", (0, 1, 2, 3)),
        ((0, 3, 8, 8), (192, 64, 8, 1), "contiguous", (0, 1, 2, 3)),
        ((None, 3, 8, 8), (192, 64, 8, 1), "contiguous", (0, 1, 2, 3)),
        ((None, 3, 8, 8), (192, 1, 24, 3), "channels_last", (0, 2, 3, 1)),
        ((1, 3, None, 8), (None, None, 8, 1), "contiguous", (0, 1, 2, 3)),  # the stride of one element is free
        ((1, 3, None, 8), (None, 1, 24, 3), "channels_last", (0, 2, 3, 1)),
    ],
)
def test_the_layout_is_that_of_torch(shape: Sizes, strides: Sizes, layout: str, order: tuple[int, ...]) -> None:
    found = dim_order_of(shape, strides)
    assert (layout_of(found), found) == (layout, order)


@pytest.mark.parametrize(
    ("shape", "strides"),
    [
        ((4, 4), (0, 1)),  # expanded
        ((4, 4), (8, 1)),  # padded
        ((4, 4), (4,)),  # a forged file
        ((4, 4), (-4, 1)),
        ((None, None, None), (None, None, 1)),  # either of the first two may be the outermost
    ],
)
def test_what_is_not_dense_or_not_known_has_no_layout(shape: Sizes, strides: Sizes) -> None:
    assert dim_order_of(shape, strides) is None
    assert (layout_of(None), described_layout(None)) == ("", "unknown layout")


def test_a_report_names_the_order_that_has_no_name() -> None:
    assert described_layout((1, 0)) == "dim order 1, 0"
    assert described_layout((0, 2, 3, 1)) == "channels_last"


@pytest.mark.torch
def test_it_agrees_with_the_dim_order_of_torch() -> None:
    torch = pytest.importorskip("torch")
    from itertools import permutations

    for order in permutations(range(4)):
        tensor = torch.empty(2, 3, 5, 7).permute(order).contiguous().permute([order.index(axis) for axis in range(4)])
        assert dim_order_of(tuple(tensor.shape), tensor.stride()) == tensor.dim_order() == order
