"""Compares what is done with sums of codes: first the sums themselves, then what becomes of each sum.

The sums of both sides are the same if they weigh the same operand elements with the same integers. What follows is a
function of one integer. Where it never falls, it is enough to compare it at both sides of every place where the
program's code changes, and at the ends of what the weights allow; else it is compared everywhere.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from fuseguard.executorch.all_inputs.comparing import Function, Suspect, same_ops
from fuseguard.executorch.all_inputs.forms import Accumulator, Array, Expressions, Unsupported
from fuseguard.executorch.all_inputs.graph_rules import schema_name
from fuseguard.executorch.all_inputs.piece import Operand, Piece, Rounded
from fuseguard.executorch.all_inputs.reaching import codes_for_sum
from fuseguard.executorch.all_inputs.verdicts import Tally
from fuseguard.executorch.float64 import TIE
from fuseguard.executorch.lowering import is_quantizer

#: Sums that are compared one by one where the functions may fall.
_MOST_SUMS = 1 << 24
_RISING = frozenset((
    "relu", "relu_", "relu6", "hardtanh", "hardtanh_", "clamp", "clamp_", "clamp_min", "clamp_max", "sigmoid", "tanh",
    "quantize_per_tensor", "dequantize_per_tensor", "hardsigmoid", "sigmoid_", "tanh_",
))  # fmt: skip


class Column(NamedTuple):
    """A function of the sums with one filter, by its number on each side."""

    function: Function
    their_filter: int
    our_filter: int


class DifferentSums(Exception):
    """The two sides do not add up the same things: at one element of ``function``, seen with these taps and filters."""

    def __init__(
        self, text: str, function: Function, element: int, taps: tuple[Array, Array], filters: tuple[Array, Array],
        rows: tuple[int, int], nodes: tuple[Accumulator, Accumulator],
    ) -> None:  # fmt: skip
        super().__init__(text)
        self.function = function
        self.element = element
        self.taps = taps
        self.filters = filters
        self.rows = rows
        self.nodes = nodes


def compare_sums(piece: Piece, found: list[Function], tally: Tally) -> Suspect | None:
    """The first difference between functions of one accumulator. Raises Unsupported, DifferentSums."""
    if not is_quantizer(piece.node):
        raise Unsupported("sums that are a result as they are")
    batches: dict[Hashable, list[Column]] = {}
    for function in found:
        theirs, ours = _node(piece, function, 0), _node(piece, function, 1)
        if ours.kind in piece.in_float64.limits:
            raise Unsupported("sums of codes of which some are taken for qmin or qmax")
        rows = _same_rows(function, theirs, ours)
        if _on_cpu(function):
            _same_on_cpu(piece, function, theirs, ours, rows)
            tally.methods["the same ops"] = None
            continue
        tally.methods["weights and thresholds"] = None
        key = piece.in_lowering.signature(function.theirs), function.ours, theirs.offset, ours.offset
        batches.setdefault(key, []).extend(Column(function, int(their), int(our)) for their, our in rows)
    for batch in batches.values():
        theirs, ours = _node(piece, batch[0].function, 0), _node(piece, batch[0].function, 1)
        suspect = _thresholds(piece, batch, theirs, ours, tally)
        if suspect is not None:
            return suspect
    return None


def _node(piece: Piece, function: Function, side: int) -> Accumulator:
    kind = function.kinds[(function.slots_theirs, function.slots_ours)[side][0]]
    assert isinstance(kind, tuple)
    number = int(kind[1])
    on_cpu = piece.lowering_forms.rules.sums.accumulators
    there = on_cpu if kind[0] == "fx" else piece.lowering_forms.accumulators
    node: Accumulator = piece.program_sums[number] if side else there[number]
    return node


def _on_cpu(function: Function) -> bool:
    kind = function.kinds[function.slots_theirs[0]]
    return isinstance(kind, tuple) and kind[0] == "fx"


def _same_on_cpu(piece: Piece, function: Function, theirs: Accumulator, ours: Accumulator, rows: Array) -> None:
    """Raises Unsupported unless torch computes the same sums, and the same ops after them, on both sides."""
    if theirs.zero_point != ours.zero_point:
        raise Unsupported("an op on the CPU has another zero point")
    for one, other in ((theirs.scale, ours.scale), (theirs.bias, ours.bias)):
        left = one[rows[:, 0]] if len(one) == len(theirs.filters) else one
        right = other[rows[:, 1]] if len(other) == len(ours.filters) else other
        if not np.array_equal(left.astype(np.float32), right.astype(np.float32)):
            raise Unsupported("an op on the CPU has other scales")
    if not same_ops(piece, replace(function, slots_theirs=(0,), slots_ours=(0,))):
        raise Unsupported("other ops on the CPU")


def _same_rows(function: Function, theirs: Accumulator, ours: Accumulator) -> Array:
    """``[filters, 2]``: those of these elements, on both sides. Raises DifferentSums."""
    left = theirs.split(function.leaves[function.slots_theirs[0]])
    right = ours.split(function.leaves[function.slots_ours[0]])
    pairs, where = np.unique(np.stack((left[0], right[0]), 1), axis=0, return_index=True)
    filters: Array
    filters, filters_at = np.unique(np.stack((left[1], right[1]), 1), axis=0, return_index=True)
    if theirs.kind != ours.kind:
        raise Unsupported("the two sides add up different operands")
    narrow = theirs.patches.shape[1] != ours.patches.shape[1]
    order = np.arange(theirs.patches.shape[1])
    if not narrow:
        order = _order(theirs.patches[pairs[:, 0]], ours.patches[pairs[:, 1]])

    def different(text: str, at: int) -> DifferentSums:
        patch, filter_ = (left[0][at], right[0][at]), (left[1][at], right[1][at])
        return DifferentSums(
            text, function, int(function.elements[at]), (theirs.patches[patch[0]], ours.patches[patch[1]]),
            (theirs.filters[filter_[0]], ours.filters[filter_[1]]), (int(filter_[0]), int(filter_[1])), (theirs, ours),
        )  # fmt: skip

    if narrow:
        raise different("kernels of different sizes", 0)
    unequal = (theirs.filters[filters[:, 0]][:, order] != ours.filters[filters[:, 1]]).any(1)
    if bool(unequal.any()):
        raise different("weights differ", int(filters_at[int(unequal.argmax())]))
    unequal = (theirs.patches[pairs[:, 0]][:, order] != ours.patches[pairs[:, 1]]).any(1)
    if bool(unequal.any()):
        raise different("other elements are summed", int(where[int(unequal.argmax())]))
    if theirs.zero_point != ours.zero_point:
        # Where no tap is missing, that is a constant beside the sum: _thresholds takes it into account.
        missing = (ours.patches[pairs[:, 1]] < 0).any(1)
        if bool(missing.any()):
            raise different("zero points differ", int(where[int(missing.argmax())]))
    found: Array = filters
    return found


def _order(theirs: Array, ours: Array) -> Array:
    """The order of the lowering's taps that is the program's; as they are if there is none."""
    own = np.arange(theirs.shape[1])
    if np.array_equal(theirs, ours):
        return own
    full = np.flatnonzero((theirs >= 0).all(1) & (ours >= 0).all(1))
    if not full.size:
        return own
    one, other = theirs[full[0]], ours[full[0]]
    if not np.array_equal(np.sort(one), np.sort(other)):
        return own
    order = np.empty(len(own), np.int64)
    order[np.argsort(other, kind="stable")] = np.argsort(one, kind="stable")
    return order


def _thresholds(
    piece: Piece, batch: list[Column], theirs: Accumulator, ours: Accumulator, tally: Tally
) -> Suspect | None:
    operand = piece.by_kind[ours.kind]
    filters = np.array([column.our_filter for column in batch])
    offsets = theirs.bias[np.array([column.their_filter for column in batch])]
    weights = ours.filters[filters]
    low, high = interval(weights, operand.low - ours.zero_point, operand.high - ours.zero_point)
    offsets = offsets + weights.sum(1) * (ours.zero_point - theirs.zero_point)
    ends = _Ends(piece, batch, ours, filters, offsets)
    tally.reach = max(tally.reach, float(ends.reach.max()))
    numbers = [column.function.theirs for column in batch]
    rising = all(_rises_there(piece.lowering_table, number) for number in set(numbers))
    if rising and _rises_here(piece.program_table, batch[0].function.ours):
        sums = ends.thresholds(low, high)
    else:
        tally.methods["every sum"] = None
        width = int((high - low).max()) + 1
        if width * len(batch) > _MOST_SUMS:
            raise Unsupported("a function of a sum that may fall, with too many sums to try them all")
        sums = np.minimum(low[None] + np.arange(width)[:, None], high[None])
    at_once = max(1, (1 << 22) // len(batch))
    for start in range(0, len(sums), at_once):
        part = sums[start : start + at_once]
        actual = piece.in_lowering(numbers, [part + offsets[None]])
        wrong = tally.codes(actual, ends.rounded(part))
        if bool(wrong.any()):
            return _reached(batch, wrong, part, weights, ours, operand)
    return None


def interval(weights: Array, low: int, high: int) -> tuple[Array, Array]:
    """What the sums of ``[filters, taps]`` times numbers between ``low`` and ``high`` (and 0) may be."""
    lowest, highest = min(low, 0), max(high, 0)
    up, down = np.maximum(weights, 0).sum(1), np.minimum(weights, 0).sum(1)
    return up * lowest + down * highest, up * highest + down * lowest


def _reached(
    batch: list[Column], wrong: Array, sums: Array, weights: Array, ours: Accumulator,
    operand: Operand,
) -> Suspect:  # fmt: skip
    """Operand codes that have one of the wrong sums. Raises Unsupported if none are found."""
    for row, column in np.argwhere(wrong)[:64]:
        function = batch[int(column)].function
        patches, filters = ours.split(function.leaves[function.slots_ours[0]])
        mine = filters == batch[int(column)].our_filter
        full = np.flatnonzero((ours.patches[patches] >= 0).all(1) & mine)
        at = int(full[0]) if full.size else int(np.flatnonzero(mine)[0])
        taps = ours.patches[patches[at]]
        codes = codes_for_sum(
            np.where(taps >= 0, weights[int(column)], 0), int(sums[row, column]), operand.low, operand.high,
            ours.zero_point,
        )  # fmt: skip
        if codes is not None:
            chosen = {int(tap): int(code) for tap, code in zip(taps, codes, strict=True) if tap >= 0}
            return Suspect(chosen, int(function.elements[at]))
    raise Unsupported("what follows a sum differs where no codes were found that have such a sum")


class _Ends:
    """The program's codes as functions of sums, one column for each filter."""

    def __init__(self, piece: Piece, batch: list[Column], ours: Accumulator, filters: Array, offsets: Array) -> None:
        self.piece = piece
        self.scale, self.bias = ours.scale, ours.bias
        if len(self.scale) == len(ours.filters):
            self.scale, self.bias = self.scale[filters], self.bias[filters]
        self.number = batch[0].function.ours
        scale = float(str(piece.node.args[1]))
        # The bias is a multiple of the sum's unit in the lowering: the nearest one, if it is right.
        moved = np.abs(np.broadcast_to(self.bias, offsets.shape) - offsets * self.scale)
        allowed = (moved <= 0.5 * self.scale * (1 + 1e-9)) & _keeps_distances(piece.program_table, self.number)
        #: By how many steps that moves a value.
        self.reach = np.where(allowed, moved / scale, 0.0)

    def rounded(self, sums: Array) -> Rounded:
        return Rounded.of(self.piece.node, self._values(sums), reach=self.reach[None])

    def _values(self, sums: Array) -> Array:
        expr = self.piece.program_table[self.number]
        if expr.key != ("fx", self.piece.node.name):
            raise Unsupported("a sum that no quantize op reads")
        reals = sums * self.scale[None] + self.bias[None]
        return np.broadcast_to(self.piece.in_float64([expr.args[0][0]] * sums.shape[1], [reals]), sums.shape)

    def thresholds(self, low: Array, high: Array) -> Array:
        """``[sums, columns]``: the ends, and both sides of every sum where a code changes, ties either way."""
        q = self.piece.node
        scale = float(str(q.args[1]))
        limits = np.iinfo(str(q.args[5]).removeprefix("torch."))
        steps = np.arange(int(limits.min), int(limits.max)) - int(str(q.args[2])) + 0.5
        parts = [low[None], high[None]]
        for side in (-1, 1):
            first_above = self._bisected((steps[:, None] + side * (TIE + self.reach[None])) * scale, low, high)
            parts += [first_above, np.maximum(first_above - 1, low[None])]
        return np.concatenate(parts)

    def _bisected(self, values: Array, low: Array, high: Array) -> Array:
        """The first sum whose value is at least one of ``[values, columns]``; the highest if none is."""
        below = np.broadcast_to(low[None], (len(values), len(low))).copy()
        above = np.broadcast_to(high[None], below.shape).copy()
        for _ in range(int(np.ceil(np.log2(max(2, int((high - low).max()) + 1)))) + 1):
            middle = (below + above) // 2
            enough = self._values(middle) >= values
            above = np.where(enough, middle, above)
            below = np.where(enough, below, np.minimum(middle + 1, above))
        return above


_CLAMPS = frozenset(("relu", "relu_", "relu6", "hardtanh", "hardtanh_", "clamp", "clamp_", "clamp_min", "clamp_max"))


def _keeps_distances(table: Expressions, number: int) -> bool:
    """Whether nothing but clamps and divisions is between a sum and the quantize op ``number``."""
    expr = table[table[number].args[0][0]]
    while expr.key[0] != "leaf":
        if expr.key[0] != "divided" and (expr.key[0] != "fx" or schema_name(table.data[expr.key[1]]) not in _CLAMPS):
            return False
        expr = table[expr.args[0][0]]
    return True


def _rises_there(table: Expressions, number: int) -> bool:
    """Whether TOSA operators after a sum never fall as it rises."""
    expr = table[number]
    if expr.key[0] == "leaf":
        return True
    if expr.key[0] == "average":
        return _rises_there(table, expr.args[0][0])
    if expr.key[0] != "tosa":
        return False
    name, parameters = expr.key[1], expr.key[5]
    computed = [arg for arg, _ in expr.args if table[arg].key[0] != "const"]
    if len(computed) != 1 or not _rises_there(table, computed[0]):
        return False
    if name == "RESCALE":
        return expr.params[0] >= 0
    if name == "TABLE":
        assert isinstance(parameters, tuple)
        ((dtype, _, data),) = parameters
        return bool((np.diff(np.frombuffer(data, {"INT8": np.int8, "INT16": np.int16}[dtype]).astype(int)) >= 0).all())
    return name in ("CLAMP", "MAXIMUM", "MINIMUM") or (name == "ADD" and len(expr.args) == 2)


def _rises_here(table: Expressions, number: int) -> bool:
    """The same for the program's ops, with positive scales."""
    expr = table[number]
    if expr.key[0] in ("leaf", "divided"):
        return all(_rises_here(table, arg) for arg, _ in expr.args)
    if expr.key[0] != "fx":
        return False
    node: Any = table.data[expr.key[1]]
    return schema_name(node) in _RISING and len(expr.args) == 1 and _rises_here(table, expr.args[0][0])


def search(piece: Piece, error: DifferentSums, drawn: int = 4096) -> list[Suspect]:
    """Codes for which different sums may end in different codes, the most different ones first."""
    theirs, ours = error.nodes
    operand = piece.by_kind[ours.kind]
    leaves = np.unique(np.concatenate(error.taps))
    leaves = leaves[leaves >= 0]
    generator = np.random.default_rng(0)
    codes = generator.integers(operand.low, operand.high + 1, (drawn, len(leaves)))
    extreme = np.where(generator.random(codes.shape) < 0.5, operand.low, operand.high)
    codes = np.where(np.arange(drawn)[:, None] % 4 == 1, extreme, codes)
    quiet = generator.random(codes.shape) < generator.random((drawn, 1))
    codes = np.where(quiet & (np.arange(drawn)[:, None] % 4 >= 2), operand.zero, codes)
    sums = []
    for node, taps, weights in zip(error.nodes, error.taps, error.filters, strict=True):
        columns = np.searchsorted(leaves, np.maximum(taps, 0)).clip(0, len(leaves) - 1)
        sums.append(((codes[:, columns] - node.zero_point) * np.where(taps >= 0, weights, 0)).sum(1)[:, None])
    function, (their_row, our_row) = error.function, error.rows
    actual = piece.in_lowering([function.theirs], [sums[0] + theirs.bias[their_row]])
    expr = piece.program_table[function.ours]
    if expr.key != ("fx", piece.node.name):
        return []
    scale, bias = (item[our_row if len(item) == len(ours.filters) else 0] for item in (ours.scale, ours.bias))
    value = piece.in_float64([expr.args[0][0]], [sums[1] * scale + bias])
    wrong = Tally(bound=0.0).codes(actual, Rounded.of(piece.node, value))[:, 0]
    rows = np.flatnonzero(wrong)[:8]
    return [
        Suspect({int(leaf): int(code) for leaf, code in zip(leaves, codes[row], strict=True)}, error.element)
        for row in rows
    ]
