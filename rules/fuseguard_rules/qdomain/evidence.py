"""Effect rows that say honestly where an effect was seen and where it was read in the source."""

from __future__ import annotations

from collections.abc import Sequence

from fuseguard.engine import Effect, EffectRow, Evidence

#: Where the examples of this family were judged: (releases, profile). Elsewhere the same code was read.
SEEN: tuple[tuple[str, str], ...] = (("*", "INT"), ("<1.3", "INT+FP"), (">=1.4", "INT+FP"))


def rows(
    case: str, effect: Effect, reference: str, *, releases: str = "*", seen: Sequence[tuple[str, str]] = SEEN
) -> list[EffectRow]:
    """Rows of ``case`` for both integer profiles; ``seen`` says where it was measured."""
    within = "" if releases == "*" else f",{releases}"
    measured = [
        EffectRow(case, f"{where}{within}".removeprefix("*,"), profile, effect, reference=reference)
        for where, profile in seen
    ]
    read = [
        EffectRow(case, releases, profile, effect, Evidence.SOURCE_READ, reference) for profile in ("INT", "INT+FP")
    ]
    return [*measured, *read]
