"""Finds codes with which a weighted sum is a given number."""

from __future__ import annotations

import numpy as np

from fuseguard.executorch.all_inputs.forms import Array


def codes_for_sum(weights: Array, wanted: int, low: int, high: int, zero_point: int, tries: int = 200) -> Array | None:
    """Codes between ``low`` and ``high`` with ``sum(weights * (code - zero_point)) == wanted``, if some are found.

    It goes greedily from the largest weights to the smallest, and from several starts: subset sums have no quick
    answer, but the weights of a network nearly always contain small ones.
    """
    generator = np.random.default_rng(0)
    order = np.argsort(-np.abs(weights), kind="stable")
    least, most = low - zero_point, high - zero_point
    quiet = min(max(0, least), most)
    for attempt in range(tries):
        values = np.full(len(weights), quiet, np.int64)
        if attempt:
            values = generator.integers(least, most + 1, len(weights))
            values[generator.random(len(weights)) < attempt / tries] = quiet
        left = wanted - int((weights * values).sum())
        for _ in range(3):
            for place in order:
                weight = int(weights[place])
                if not weight or not left:
                    continue
                change = round(left / weight)
                new = min(max(int(values[place]) + change, least), most)
                left -= weight * (new - int(values[place]))
                values[place] = new
        if not left:
            found: Array = values + zero_point
            return found
    return None
