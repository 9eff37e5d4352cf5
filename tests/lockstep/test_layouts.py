"""The same codes are found in tensors whose dimensions are in another order, merged or split."""

from __future__ import annotations

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from fuseguard.executorch.lockstep.layouts import align, least_distance, outline  # noqa: E402


@given(st.data())
def test_a_permuted_reshaped_tensor_is_brought_back(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    order = data.draw(st.permutations(range(len(shape))))
    values = np.random.default_rng(0).permutation(int(np.prod(shape))).reshape(shape).astype(np.int16)
    moved = values.transpose(order)
    # Merging dimensions of the moved tensor loses which they were; of the wanted one it does not.
    for there, like in ((moved, values), (moved.reshape(1, *moved.shape), values), (moved, values.reshape(-1))):
        found = align(there, like)
        assert found is not None
        assert found.differing == 0
        assert (found.values == like).all()


def test_wrong_codes_are_aligned_in_the_layout_in_which_they_are_nearest() -> None:
    like = np.arange(24, dtype=np.int8).reshape(2, 3, 4)
    there = like.transpose(2, 0, 1).copy()
    there[1, 1, 1] = 100
    found = align(there, like)
    assert found is not None
    assert found.differing == 1
    assert found.values.shape == like.shape
    assert int(np.argmax(found.values != like)) == int(np.argmax(like == 17))


def test_tensors_of_other_sizes_are_not_compared() -> None:
    assert align(np.zeros(5, np.int8), np.zeros((2, 3), np.int8)) is None


@given(st.lists(st.integers(-128, 127), min_size=1, max_size=30))
def test_no_layout_is_nearer_than_the_sorted_codes(codes: list[int]) -> None:
    """What lets most candidates be left out without trying a layout."""
    one = np.array(codes, dtype=np.int64)
    other = np.random.default_rng(1).integers(-128, 128, one.size)
    distance = least_distance(outline(one), outline(other), one.size)
    assert distance <= float(np.abs(one - other).mean()) + 1e-9


@pytest.mark.parametrize(("dtype", "size"), [("int8", 256), ("int8", 70000), ("uint8", 300), ("int16", 70001)])
def test_counted_codes_have_the_distance_of_sorted_ones(dtype: str, size: int) -> None:
    generator = np.random.default_rng(0)
    limits = np.iinfo(dtype)
    one = generator.integers(limits.min, limits.max + 1, size).astype(dtype)
    other = (one // 2 + generator.integers(0, 3, size)).astype(dtype)
    assert outline(one).size == limits.max - limits.min + 1
    wanted = float(np.abs(np.sort(one).astype(np.int64) - np.sort(other)).mean())
    assert least_distance(outline(one), outline(other), size) == pytest.approx(wanted, abs=1e-12)
