"""Whether what the judge saw bears out an effect.

Protects: a recording that disagrees with its effects table unseen.
"""

from __future__ import annotations

import pytest

from fuseguard.engine import Effect
from fuseguard.engine.agreement import OUTCOMES, agrees, disagreement


def test_every_effect_of_the_backend_can_be_borne_out() -> None:
    assert set(OUTCOMES) == {effect for effect in Effect if effect.of_backend}
    assert not agrees(Effect.UPKEEP, "exact", 1)


@pytest.mark.parametrize(
    ("effect", "seen_as", "cpu", "options", "fault"),
    [
        (None, "exact", 0, {}, ""),
        (None, "bounded", 0, {}, "announced exact, seen bounded"),
        (None, "bounded", 0, {"int16": True}, ""),
        (Effect.WRONG, "wrong", 0, {}, ""),
        (Effect.WRONG, "exact", 0, {}, "announced wrong, seen exact"),
        (Effect.WRONG, "exact", 0, {"in_program": True}, ""),
        (Effect.CPU_FALLBACK, "exact", 1, {}, ""),
        (Effect.CPU_FALLBACK, "exact", 0, {}, "announced cpu_fallback, but nothing was left on the CPU"),
        (Effect.CPU_FALLBACK, "crash", 0, {}, "announced cpu_fallback, seen crash"),
        (Effect.BOUNDED, "exact", 0, {}, "announced bounded, seen exact"),
        (Effect.BOUNDED, "exact", 0, {"good": True}, ""),
    ],
)
def test_what_disagrees_is_said(
    effect: Effect | None, seen_as: str, cpu: int, options: dict[str, bool], fault: str
) -> None:
    assert disagreement(effect, seen_as, cpu, **options) == fault
