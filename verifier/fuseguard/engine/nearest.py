"""What the user may have meant."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(wanted: str, known: Iterable[str]) -> str:
    """``Did you mean 'x'?`` for the nearest of ``known``, whatever its case; "" when nothing is near."""
    import difflib  # only where something is wrong

    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(wanted.strip().lower(), list(by_lower), n=1, cutoff=0.5)
    return f"Did you mean {by_lower[close[0]]!r}?" if close else ""
