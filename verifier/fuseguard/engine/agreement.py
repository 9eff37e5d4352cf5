"""Whether the judge's result confirms what an effects table says."""

from __future__ import annotations

from fuseguard.engine.finding import Effect

#: Outcomes of the judge that confirm an effect.
OUTCOMES: dict[Effect, frozenset[str]] = {
    Effect.CRASH: frozenset({"crash"}),
    Effect.WRONG: frozenset({"wrong"}),
    Effect.UNDEFINED: frozenset({"undefined"}),
    Effect.RUNTIME_FAULT: frozenset({"runtime_fault"}),
    Effect.BOUNDED: frozenset({"bounded"}),
    Effect.QUALITY: frozenset({"exact", "bounded"}),
    Effect.CPU_FALLBACK: frozenset({"exact", "bounded"}),
    Effect.EXACT: frozenset({"exact", "bounded"}),
}


def agrees(effect: Effect, seen: str, cpu: int, *, in_program: bool = False) -> bool:
    """Whether an example confirms ``effect``.

    ``seen`` is the judge's outcome of its unguarded lowering, which left ``cpu`` operators outside of delegates.
    ``in_program``: the fault is in the quantized program itself (``Rule.in_program``), so that the lowering agrees
    with it.
    """
    if effect is Effect.CPU_FALLBACK and not cpu:
        return False
    return seen in OUTCOMES.get(Effect.QUALITY if in_program else effect, frozenset())


def disagreement(
    effect: Effect | None, seen: str, cpu: int, *, in_program: bool = False, good: bool = False, int16: bool = False
) -> str:
    """What is wrong about the worst effect that was found in an example (None: nothing was found); "" if nothing is.

    ``good``: the example is a good one, in which only other rules find anything. ``int16``: the target has 16-bit
    codes, whose rescales round in a way that no rule reports.
    """
    if effect is None:
        # A program that lowers but cannot run contradicts nothing.
        right = seen in ("exact", "not_judged") or (int16 and seen == "bounded")
    elif good and effect is Effect.BOUNDED:
        right = seen in ("exact", "bounded")  # another rule's note, which its own example has to confirm
    else:
        right = agrees(effect, seen, 1, in_program=in_program)
    if not right:
        return f"announced {(effect or Effect.EXACT).value}, seen {seen}"
    if effect is Effect.CPU_FALLBACK and not cpu:
        return "announced cpu_fallback, but nothing was left on the CPU"
    return ""
