"""Tells what a right lowering may change from an error: by computing it where that can be done, else by a tolerance.

Each way in which the outputs of a lowered program may differ from the eager ones is tried in turn, the strictest first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch.export import ExportedProgram

from fuseguard.backend.lookup_table import table_error
from fuseguard.executorch.comparing import FLOAT_TOLERANCE, absolute_errors, differing_elements, magnitude
from fuseguard.executorch.explanations import Explanation, explanations, name_of
from fuseguard.executorch.float64 import TIE, run_exactly, shaken_outputs
from fuseguard.executorch.lowering import Lowered
from fuseguard.executorch.outputs import (
    OutputGrid,
    off_by,
    run_eager,
    saturate_at_dtype,
    widened_by_tables,
)
from fuseguard.target import Target

#: How many random ways of breaking ties are tried: an element that meets three has one of eight, and is missed by all
#: of them once in seventy. All are tried before an element is called wrong: in a dense network an element may come to
#: depend on a tie by way of many others, and move in few of the tries.
_SCATTERED = 32
#: The number of the last try that breaks all ties alike. It does not meet those of floats.
_ALIKE = 3

#: How much more than the largest difference that a few random roundings make counts as explained by rounding.
_MARGIN = 2.0


def explain(
    outputs: tuple[torch.Tensor, ...],
    reference: tuple[torch.Tensor, ...],
    program: ExportedProgram,
    inputs: Sequence[Any],
    target: Target,
    grids: list[OutputGrid],
    lowered: Lowered,
    names: Sequence[str],
) -> tuple[Literal["exact", "bounded", "wrong"], tuple[Explanation, ...]]:
    """What the results of a lowered program are beside the eager ones, and why elements that differ are accepted.

    ``exact``, ``bounded`` and ``wrong`` are those of :class:`fuseguard.executorch.proof.Proof`. Nothing explains what
    is wrong. ``names``: what the results are called.
    """
    differing = differing_elements(outputs, reference, grids)
    tolerated = _tolerated(outputs, reference, differing, names)
    if not _any(differing):
        return "exact", tolerated
    if _explained(differing, program, inputs, outputs, grids, lowered):
        return "exact", (*explanations(names, ("rounding ties", [name_of(run_exactly)], differing)), *tolerated)
    saturated = saturate_at_dtype(program, lowered.float_quantizers)
    widened = [(saturated, ("saturation", [name_of(saturate_at_dtype)]))] if saturated is not None else []
    for snapped, variants in ((False, widened), (True, [(program, None), *widened])):
        for variant, why in variants:
            found = _matches(outputs, reference, variant, why, inputs, grids, lowered, snapped, names)
            if found:
                return "bounded", (*found, *tolerated)
    found = _rounded(outputs, program, inputs, reference, target, grids, lowered, names)
    return ("bounded", (*found, *tolerated)) if found else ("wrong", ())


def _matches(
    outputs: tuple[torch.Tensor, ...],
    reference: tuple[torch.Tensor, ...],
    program: ExportedProgram,
    why: tuple[str, Sequence[str]] | None,
    inputs: Sequence[Any],
    grids: list[OutputGrid],
    lowered: Lowered,
    snapped: bool,
    names: Sequence[str],
) -> tuple[Explanation, ...]:
    """What explains the outputs if they are those of ``program``, ties aside; empty if they are not.

    ``program`` is a variant of the one that was lowered, ``why`` the name and models of what tells it from that.
    """
    used: set[str] = set()
    try:
        if snapped:
            varied = run_exactly(program, inputs, snapped=True, on_cpu=lowered.on_cpu, used=used)
        else:
            varied = run_eager(program, inputs)
    except RuntimeError:  # an operator that mixes dtypes or knows no float64
        return ()
    left = differing_elements(outputs, varied, grids)
    if not _explained(left, program, inputs, outputs, grids, lowered, snapped):
        return ()
    differing = differing_elements(outputs, reference, grids)
    moved = _moved(differing, varied, reference, grids)
    return explanations(
        names,
        *([(*why, moved)] if why is not None else []),
        *([("int32 operands", used, moved)] if used else []),
        ("rounding ties", [name_of(run_exactly)], _both(differing, left)),
    ) or explanations(names, ("rounding ties", [name_of(run_exactly)], differing))


def _moved(
    differing: Sequence[torch.Tensor],
    varied: Sequence[torch.Tensor],
    reference: Sequence[torch.Tensor],
    grids: Sequence[OutputGrid],
) -> list[torch.Tensor]:
    """The differing elements that a variant moves; all of them if it moves none by itself."""
    moved = _both(differing, differing_elements(varied, reference, grids))
    return moved if _any(moved) else list(differing)


def _explained(
    differing: list[torch.Tensor],
    program: ExportedProgram,
    inputs: Sequence[Any],
    outputs: tuple[torch.Tensor, ...],
    grids: list[OutputGrid],
    lowered: Lowered,
    snapped: bool = False,
) -> bool:
    """Whether every differing element is what ``program`` yields in float64, its ties broken either way.

    First all of them alike, then as a delegate breaks those of the floats that it quantizes, then each by itself: on
    its way an element may meet several ties, and the ops that break them (a pool, a RESCALE) do not agree. A program
    that meets no tie at all ends the search.
    """
    if not _any(differing):
        return True
    tries: list[dict[str, Any]] = [
        {}, {"nudge": TIE}, {"nudge": -TIE}, {"nudge": TIE, "decomposed": lowered.float_quantizers},
        *({"nudge": TIE, "scattered": seed} for seed in range(_SCATTERED)),
    ]  # fmt: skip
    for number, way in enumerate(tries):
        met: list[str] = []
        try:
            exact = run_exactly(program, inputs, snapped=snapped, on_cpu=lowered.on_cpu, ties=met, **way)
        except RuntimeError:  # an operator that mixes dtypes or knows no float64
            return False
        differing = _both(differing, differing_elements(outputs, exact, grids))
        if not _any(differing):
            return True
        if number > _ALIKE and not met:
            return False
    return False


def _both(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    return [left & right for left, right in zip(one, other, strict=True)]


def _any(masks: Sequence[torch.Tensor]) -> bool:
    return any(bool(mask.any()) for mask in masks)


def _rounded(
    outputs: Sequence[torch.Tensor],
    program: ExportedProgram,
    inputs: Sequence[Any],
    reference: Sequence[torch.Tensor],
    target: Target,
    grids: Sequence[OutputGrid],
    lowered: Lowered,
    names: Sequence[str],
) -> tuple[Explanation, ...]:
    """What explains the outputs if int16 roundings do, of the program or of the variant that stays in int32 longer."""
    if not any(grid.roundings for grid in grids):
        return ()
    differing = differing_elements(outputs, reference, grids)
    models = [name_of(off_by), *([name_of(table_error)] if widened_by_tables(program, target) else [])]
    shaken = shaken_outputs(program, inputs, target)
    if _within_roundings(outputs, reference, grids, shaken):
        return explanations(names, ("int16 roundings", models, differing))
    used: set[str] = set()
    shaken = shaken_outputs(program, inputs, target, snapped=True, on_cpu=lowered.on_cpu, used=used)
    if not _within_roundings(outputs, shaken[0], grids, shaken):
        return ()
    return explanations(
        names,
        *([("int32 operands", used, _moved(differing, shaken[0], reference, grids))] if used else []),
        ("int16 roundings", models, _both(differing, differing_elements(outputs, shaken[0], grids))),
    ) or explanations(names, ("int16 roundings", models, differing))


def _tolerated(
    outputs: Sequence[torch.Tensor],
    reference: Sequence[torch.Tensor],
    differing: Sequence[torch.Tensor],
    names: Sequence[str],
) -> tuple[Explanation, ...]:
    """What says that floats are equal which are so but for the rounding of float32."""
    unequal = [absolute_errors(output, want) > 0 for output, want in zip(outputs, reference, strict=True)]
    tolerated = [mask & ~counted for mask, counted in zip(unequal, differing, strict=True)]
    return explanations(names, ("float tolerance", [name_of(differing_elements)], tolerated))


def _within_roundings(
    outputs: Sequence[torch.Tensor],
    reference: Sequence[torch.Tensor],
    grids: Sequence[OutputGrid],
    shaken: Sequence[tuple[torch.Tensor, ...]],
) -> bool:
    """Whether every output is off by no more than 16-bit roundings, amplified on their way, explain.

    An output with none of them before it must be equal. ``shaken``: what random roundings make of the outputs.
    """
    for number, mask in enumerate(differing_elements(outputs, reference, grids)):
        if not bool(mask.any()):
            continue
        grid = grids[number]
        least = FLOAT_TOLERANCE * magnitude(reference[number]) if grid.step is None else grid.roundings * grid.step
        allowed = torch.full_like(reference[number], least, dtype=torch.float64)
        for run in shaken[1:]:
            # A few random runs seldom meet the worst case.
            allowed = torch.maximum(allowed, _MARGIN * absolute_errors(run[number], shaken[0][number]))
        if not grid.roundings or bool((absolute_errors(outputs[number], reference[number]) > allowed * 1.01).any()):
            return False
    return True
