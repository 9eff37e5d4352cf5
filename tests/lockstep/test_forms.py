"""The parts of --all-inputs that are arithmetic: windows, forms, sums that can be had."""

from __future__ import annotations

import pytest

np = pytest.importorskip("numpy")
torch = pytest.importorskip("torch")
pytest.importorskip("executorch")
pytestmark = pytest.mark.torch

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from fuseguard.executorch.all_inputs.accumulating import interval  # noqa: E402
from fuseguard.executorch.all_inputs.forms import (  # noqa: E402
    Expressions,
    Leaves,
    constant_elements,
    leaf_elements,
    pointwise,
)
from fuseguard.executorch.all_inputs.graph_sums import unfolded  # noqa: E402
from fuseguard.executorch.all_inputs.reaching import codes_for_sum  # noqa: E402
from fuseguard.executorch.all_inputs.thresholds import at_thresholds  # noqa: E402
from fuseguard.executorch.all_inputs.tosa_rules import windows  # noqa: E402


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_tosa_and_torch_sum_the_same_elements(data: st.DataObject) -> None:
    """Two implementations that share nothing: numpy's slices, and torch's unfold."""
    kernel = tuple(data.draw(st.integers(1, 3)) for _ in range(2))
    stride = tuple(data.draw(st.integers(1, 3)) for _ in range(2))
    dilation = tuple(data.draw(st.integers(1, 2)) for _ in range(2))
    padding = tuple(data.draw(st.integers(0, size // 2)) for size in kernel)
    values = np.arange(2 * 3 * 7 * 6).reshape(2, 3, 7, 6)
    ours, height, width = unfolded(values, kernel, stride, padding, dilation)
    pad = (padding[0], padding[0], padding[1], padding[1])
    theirs = windows(values.transpose(0, 2, 3, 1), kernel, pad, stride, dilation)
    assert theirs.shape[1:3] == (height, width)
    there = theirs.transpose(0, 1, 2, 5, 3, 4).reshape(2, height * width, -1).transpose(0, 2, 1)
    assert np.array_equal(ours, there)


def test_elements_with_one_expression_differ_in_leaves_alone() -> None:
    table = Expressions()
    given_ = leaf_elements(table, (2, 3), np.arange(6), "x")
    per_channel = constant_elements(table, np.array([1, 2, 1]), "int")
    added = pointwise(table, ("add",), [given_, per_channel])
    assert len(np.unique(added.exprs)) == 2
    assert np.array_equal(added.leaves[0], np.arange(6).reshape(2, 3))
    squared = pointwise(table, ("mul",), [given_, given_])
    assert table[squared.uniform()].kinds == ("x",), "both operands are one slot"
    crossed = pointwise(table, ("mul",), [given_, given_.moved(given_.exprs, [given_.leaves[0][:, ::-1]])])
    assert len(crossed.leaves) == 2


def test_windows_are_known_by_their_elements() -> None:
    leaves = Leaves()
    leaves.take(9)
    first = leaves.window(np.array([[3, 1, 2], [-1, 4, -1]]))
    again = leaves.window(np.array([[-1, 2, 2, 1, 3], [5, 6, -1, -1, -1]]))
    assert first[1] == 4, "a window with one element is that element"
    assert first[0] == again[0]
    assert list(leaves.contents[int(again[1])]) == [5, 6]


@given(st.lists(st.integers(-127, 127), min_size=2, max_size=30), st.data())
@settings(deadline=None)
def test_codes_that_are_found_have_the_sum(weights: list[int], data: st.DataObject) -> None:
    weight = np.array(weights)
    low, high = interval(weight[None], -128 - 3, 127 - 3)
    wanted = data.draw(st.integers(int(low[0]), int(high[0])))
    codes = codes_for_sum(weight, wanted, -128, 127, 3, tries=20)
    if codes is not None:
        assert codes.min() >= -128
        assert codes.max() <= 127
        assert int((weight * (codes - 3)).sum()) == wanted


def test_the_ends_of_an_interval_can_be_had() -> None:
    weight = np.array([5, -7, 0, 11])
    low, high = interval(weight[None], -100, 155)
    assert (low[0], high[0]) == (16 * -100 - 7 * 155, 16 * 155 + 7 * 100)
    assert codes_for_sum(weight, int(high[0]), -100, 155, 0) is not None


def test_each_code_of_each_operand_meets_a_change_of_the_result() -> None:
    """A sum that saturates: rows that reach no change are left out, and all others are on both sides of one."""
    codes = [np.arange(-300, 301), np.arange(-500, 501)]
    changes = np.arange(-100, 100) + 0.5

    def value(columns: list[np.ndarray]) -> np.ndarray:
        return columns[0] * 0.75 + columns[1] * 0.31

    one, other = at_thresholds(codes, value, changes)
    assert len(one) == len(other)
    assert set(one.tolist()) >= set(range(-300, 301)), "a code of each that reaches a change"
    assert {int(code) for code in codes[1] if abs(code * 0.31) < 300} <= set(other.tolist())
    found = np.searchsorted(changes, value([one, other]), side="right")
    # Each operand is searched in turn: the lower sides of the changes first, then the upper ones.
    below, above = [], []
    start = 0
    for size in _sizes(one, other):
        below.append(found[start : start + size])
        above.append(found[start + size : start + 2 * size])
        start += 2 * size
    assert bool((np.concatenate(below) != np.concatenate(above)).all())
    assert len(set(np.concatenate(below).tolist())) > 150, "nearly all changes are among them"


def _sizes(one: np.ndarray, other: np.ndarray) -> list[int]:
    """How many rows each of the two searches has: in the first one, the second operand stays as it is."""
    size = next(size for size in range(len(other) // 2, 0, -1) if np.array_equal(other[:size], other[size : 2 * size]))
    return [size, len(one) // 2 - size]
