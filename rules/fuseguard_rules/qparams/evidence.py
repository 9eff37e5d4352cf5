"""Rows of an effects table that say of each release and profile whether the effect was seen there."""

from __future__ import annotations

from collections.abc import Mapping

from fuseguard.engine import Effect, EffectRow, Evidence

BOTH = ("INT", "INT+FP")


def seen(
    case: str, effect: Effect, reference: str, measured: Mapping[str, tuple[str, ...]], releases: str = "*"
) -> tuple[EffectRow, ...]:
    """Rows for ``case``: measured on the ranges and profiles named, read in the source on the rest of ``releases``."""
    rows = [
        EffectRow(case, release, profile, effect, reference=reference)
        for release, profiles in measured.items()
        for profile in profiles
    ]
    rows.append(EffectRow(case, releases, "*", effect, Evidence.SOURCE_READ, reference))
    return tuple(rows)
