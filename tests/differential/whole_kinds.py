"""The op kinds of the fourth grammar: recurrent layers, masked attention, norms of every conditioning, in-place ops.

Torch-free; the torch side is in whole_layers.py. The kinds stand in the first grammar's table with a weight of 0, so
that the other grammars draw the same programs as before for each seed; whole_grammar.py gives ``WEIGHTS`` to
``grammar.draw_program``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from random import Random

from .op_kinds import KINDS, OpKind, Params, Shape

#: How often the fourth grammar draws each kind, in the unit of the first one's weights.
WEIGHTS: dict[str, float] = {}
#: Ways to write in place to a value that the kind has computed itself, from one value and from two.
IN_PLACE = (
    "add_ number", "mul_ number", "clamp_", "relu_ sigmoid_", "slice from slice", "slice number", "masked_fill_",
    "index_put_ number", "copy_ of sigmoid", "sub_ own mean", "add_ to a view",
)  # fmt: skip
IN_PLACE_PAIR = ("add_", "mul_", "sub_ mul_", "slice", "copy_", "add_ slice", "index_copy_", "add_ with alpha")
#: How attention masks its scores.
MASKS = (
    "none", "causal, -inf", "causal, -1e9", "added", "sdpa causal", "sdpa bool mask", "padding by input", "where",
    "multi-head", "multi-head, padded",
)  # fmt: skip
EPSILONS = (1e-12, 1e-8, 1e-5, 1e-3)


def _same(shape: Shape, count: int, params: Params) -> tuple[Shape, ...]:
    return (shape,)


def _by_dim(shape: Shape, count: int, params: Params) -> tuple[Shape, ...]:
    """One value for each place along a dimension: that of the channels, or the last one."""
    return ((shape[0], 1, *shape[2:]),) if params[1] else ((*shape[:-1], 1),)


def _any(shape: Shape) -> bool:
    return True


def _sequence(most: int) -> Callable[[Shape], bool]:
    """Batch, time and features, of which there is an even number."""
    return lambda shape: len(shape) == 3 and shape[1] <= most and 2 <= shape[2] <= 40 and shape[2] % 2 == 0


def _grouped(shape: Shape) -> bool:
    return len(shape) >= 3 and shape[1] % 2 == 0


def _define(
    name: str,
    weight: float,
    *choices: Sequence[float],
    takes: str = "one",
    fits: Callable[[Shape], bool] = _any,
    shapes: Callable[[Shape, int, Params], tuple[Shape, ...]] = _same,
) -> None:
    """A kind each of whose parameters is one of ``choices``."""
    rows = list(itertools.product(*choices))

    def draw(random: Random, shape: Shape) -> Params:
        return random.choice(rows)

    WEIGHTS[name] = weight
    KINDS[name] = OpKind(name, "whole", takes, 0.0, fits, draw, shapes, layered=True)


_define("lstm", 2, (0, 1), fits=_sequence(16))
_define("gru", 2, (0, 1), fits=_sequence(16))
_define("lstm_cell", 2)
_define("gru_cell", 2)
_define("attention", 9, range(len(MASKS)), fits=_sequence(16))
_define("cosine", 4, (1e-12, 1e-8, 1e-3), (0, 1), takes="pair", shapes=_by_dim)
#: Epsilon, what the values are multiplied by before, and whether a row of them is made constant.
_define("layer_norm_scaled", 4, EPSILONS, (1e-4, 1e-2, 1.0, 100.0), (0, 0, 1))
_define("rms_norm_scaled", 1.5, EPSILONS, (1e-4, 1e-2, 1.0, 100.0), (0, 0, 1))
_define("group_norm_scaled", 2, EPSILONS, (1e-4, 1e-2, 1.0, 100.0), (0, 0, 1), fits=_grouped)
#: Epsilon, and the powers of ten between which the variances lie.
_define("batch_norm_scaled", 4, EPSILONS, (-10, -4, -1, 0, 3), (-4, 0, 0, 6))
_define("in_place", 5, range(len(IN_PLACE)), fits=lambda shape: shape[1] >= 2)
_define("in_place_pair", 4, range(len(IN_PLACE_PAIR)), takes="pair", fits=lambda shape: shape[1] >= 2)
