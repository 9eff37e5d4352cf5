"""By how much the elements of a wrong value are off."""

from __future__ import annotations

from typing import Any

import numpy as np

#: Bins of a histogram.
MOST_BINS = 32


def histogram(differences: np.ndarray[Any, Any], differing: np.ndarray[Any, Any]) -> tuple[tuple[float, int], ...]:
    """The differing elements by their difference: the lower ends of at most MOST_BINS bins, and the counts."""
    chosen = differences[differing]
    low, high = int(chosen.min()), int(chosen.max())
    width = -(-(high - low + 1) // MOST_BINS)
    edges = np.arange(low, high + width + 1, width)
    counts, _ = np.histogram(chosen, edges)
    return tuple((float(edge), int(count)) for edge, count in zip(edges, counts, strict=False))
