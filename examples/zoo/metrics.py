"""Scores for ``fuseguard evaluate --metric zoo.metrics:NAME``."""

from __future__ import annotations

from typing import Any

import numpy as np


def r2(outputs: Any, labels: Any) -> float:
    """The share of the labels' variance that the outputs explain, [samples] each; at most 1."""
    error = np.square(np.asarray(outputs).reshape(-1) - np.asarray(labels)).sum()
    return float(1 - error / np.square(labels - np.mean(labels)).sum())
