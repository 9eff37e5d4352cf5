"""Runs a whole cell on drawn codes, in the reference model and in float64."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from fuseguard.executorch.all_inputs.comparing import Suspect
from fuseguard.executorch.all_inputs.forms import Array
from fuseguard.executorch.all_inputs.piece import Operand, Piece, Rounded
from fuseguard.executorch.all_inputs.results import Counterexample
from fuseguard.executorch.all_inputs.verdicts import Tally, first
from fuseguard.executorch.comparing import FLOAT_TOLERANCE
from fuseguard.executorch.lowering import is_quantizer

#: Runs of a cell that was proved on paper, and of one that was not.
_RUNS, _MORE_RUNS = 3, 24
#: Runs with another code in some elements of one operand: as many as int8 has codes.
_OTHER_CODES = 256
#: One element in so many has it.
_APART = 16
#: Elements of all operands together above which there are no such runs.
_MOST_CHANGED = 1 << 17
#: Elements above which codes are not listed one by one in a counterexample.
_MOST_LISTED = 16


def drawn_codes(piece: Piece, *, more: bool) -> Iterator[dict[str, Array]]:
    """Codes by operand, in the program's layout.

    ``more``: for a cell that was not proved on paper. It is run on the codes that the lowering has on the inputs at
    hand, too, and on these with each code in a few elements of each operand. What is wrong of one code may be lost in
    a sum, and random codes drive most sums out of the range of their quantize op.
    """
    if not piece.operands:
        yield {}
        return
    for run in range(_MORE_RUNS if more else _RUNS):
        generator = np.random.default_rng(run)
        yield _by_operand(piece, [_drawn(item, run, number, generator) for number, item in enumerate(piece.operands)])
    if not more:
        return
    found = [operand.found for operand in piece.operands]
    yield _by_operand(piece, found)
    if sum(values.size for values in found) > _MOST_CHANGED:
        return
    generator = np.random.default_rng(0)
    for number, operand in enumerate(piece.operands):
        for code in np.linspace(operand.low, operand.high, _OTHER_CODES).astype(operand.dtype):
            changed = found[number].copy()
            changed[generator.choice(changed.size, max(1, changed.size // _APART), replace=False)] = code
            yield _by_operand(piece, [*found[:number], changed, *found[number + 1 :]])


def _by_operand(piece: Piece, drawn: Sequence[Array]) -> dict[str, Array]:
    """``drawn``: by operand, codes of the lowering's tensor, flat. Of several operands in one tensor, the first's."""
    by_place: dict[str, Array] = {}
    for operand, values in zip(piece.operands, drawn, strict=True):
        by_place.setdefault(operand.kind, values)
    return {operand.name: by_place[operand.kind][operand.order] for operand in piece.operands}


def _drawn(operand: Operand, run: int, number: int, generator: np.random.Generator) -> Array:
    """Codes of the lowering's tensor, flat.

    Random codes hide much from a maximum or a sum: some runs have few codes that stand out, or rise along the tensor.
    """
    size, ends = operand.order.size, (operand.low, operand.high)
    kind = run % 8
    if kind == 1:
        return generator.choice(np.array(ends, operand.dtype), size)
    if kind in (2, 3):
        background, other = ends if kind == 2 else ends[::-1]
        few = generator.random(size) < max(0.05, 1.5 / size)
        return np.where(few, other, background).astype(operand.dtype)
    if kind in (4, 5):
        span = operand.high - operand.low + 1
        rising = (np.arange(size) * (run + 1) * span // size) % span
        return (operand.low + (rising if kind == 4 else span - 1 - rising)).astype(operand.dtype)
    if kind in (6, 7):
        return np.full(size, ends[(run + (number if run > 8 else 0)) % 2], operand.dtype)
    return generator.integers(operand.low, operand.high + 1, size).astype(operand.dtype)


def judged(
    piece: Piece, codes: Mapping[str, Array], bound: float, step: float | None, reach: float = 0.0
) -> tuple[Counterexample | None, int]:
    """The worst element of one run if it is wrong, and the number of elements. Raises Unsupported."""
    actual = piece.run_lowering(codes)
    exact, own = piece.run_program(codes)
    tally = Tally(bound=bound)
    if is_quantizer(piece.node):
        expected = Rounded.of(piece.node, exact, piece.node.name in piece.walks.of_floats, reach)
        actual = actual.view(expected.codes.dtype).reshape(expected.codes.shape)
        wrong, values = tally.codes(actual, expected, own), expected.codes
    else:
        wrong, values = tally.numbers(actual.reshape(exact.shape), exact, step, FLOAT_TOLERANCE), exact
    if not bool(wrong.any()):
        return None, wrong.size
    errors = np.where(wrong, np.abs(actual.astype(np.float64) - values.astype(np.float64)), -1.0)
    at = first(errors == errors.max())
    return Counterexample(_listed(piece, codes), at, float(values[at]), float(actual[at])), wrong.size


def _listed(piece: Piece, codes: Mapping[str, Array]) -> tuple[tuple[str, tuple[int, ...], int], ...]:
    """The codes that are not the zero point, some of them."""
    found = []
    for operand in piece.operands:
        values = codes[operand.name]
        for place in np.argwhere(values != operand.zero)[:_MOST_LISTED]:
            index = tuple(int(item) for item in place)
            found.append((operand.name, index, int(values[index])))
    return tuple(found)


def confirmed(piece: Piece, suspect: Suspect, bound: float, step: float | None, reach: float) -> Counterexample | None:
    """Runs the cell on the codes of a difference on paper. None if the run does not show it. Raises Unsupported."""
    flat = {
        operand.kind: np.full(operand.order.size, np.clip(operand.zero, operand.low, operand.high), operand.dtype)
        for operand in piece.operands
    }
    contents = {leaf: piece.leaves.contents.get(leaf, np.array([leaf])) for leaf in suspect.leaves}
    # Of two windows that overlap, the smaller one has its own code.
    for leaf in sorted(contents, key=lambda leaf: -len(contents[leaf])):
        code = suspect.leaves[leaf]
        for element in contents[leaf]:
            for operand in piece.operands:
                if operand.offset <= element < operand.offset + operand.order.size:
                    flat[operand.kind][element - operand.offset] = code
                    break
    codes = {operand.name: flat[operand.kind][operand.order] for operand in piece.operands}
    return judged(piece, codes, bound, step, reach)[0]
