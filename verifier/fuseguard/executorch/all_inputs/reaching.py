"""Finds codes with which a weighted sum is a given number."""

from __future__ import annotations

import numpy as np

from fuseguard.executorch.all_inputs.forms import Array


def codes_for_sum(weights: Array, wanted: int, low: int, high: int, zero_point: int, tries: int = 200) -> Array | None:
    """Codes between ``low`` and ``high`` with ``sum(weights * (code - zero_point)) == wanted``, if some are found.

    It goes greedily from the largest weights to the smallest, and from several starts: subset sums have no quick answer,
    but weights of a network nearly always contain small ones.
    """
    generator = np.random.default_rng(0)
    order = np.argsort(-np.abs(weights), kind="stable")
    for attempt in range(tries):
        values = np.zeros(len(weights), np.int64) if low <= zero_point <= high else np.full(len(weights), low - zero_point)
        if attempt:
            values = generator.integers(low - zero_point, high - zero_point + 1, len(weights))
            values[generator.random(len(weights)) < attempt / tries] = 0 if low <= zero_point <= high else low - zero_point
        left = wanted - int((weights * values).sum())
        for _ in range(3):
            for place in order:
                weight = int(weights[place])
                if not weight or not left:
                    continue
                change = round(left / weight)
                new = min(max(int(values[place]) + change, low - zero_point), high - zero_point)
                left -= weight * (new - int(values[place]))
                values[place] = new
        if not left:
            found: Array = values + zero_point
            return found
    return None
