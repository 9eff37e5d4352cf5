"""Numbers and plurals as reports write them."""

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


def counted(number: int, noun: str) -> str:
    """``1 error``, ``2 errors``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
