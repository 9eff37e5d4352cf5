"""Numbers as reports write them."""

from __future__ import annotations

import math


def json_number(value: float | None) -> float | str | None:
    """JSON has no infinities: they and NaN become the strings ``inf``, ``-inf`` and ``nan``."""
    if value is None or math.isfinite(value):
        return value
    return str(value)


def short(value: float) -> str:
    """Six significant digits, without trailing zeros."""
    return f"{value:.6g}"
