"""Decides what became of the values whose codes are nowhere in a lowering: left out, read past, or wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from fuseguard.executorch.comparing import absolute_errors
from fuseguard.executorch.lockstep.observing import Observed, Tensor
from fuseguard.executorch.lockstep.walking import Assumptions, Meeting, Walked, Walks
from fuseguard.ir.ops import Trait

#: Values that are looked into at most, the earliest first: each costs a few more walks.
_MOST_DOUBTS = 12
#: Tensors that are tried for each.
_MOST_TENSORS = 3


def settled(walks: Walks) -> Walked:
    """The walk in which the fewest values are off.

    A value whose codes are nowhere in the lowering is not there (fused away, or kept in int32), or wrong; and any value
    may be computed from one that is read past its quantize op. It is taken for the one that leaves fewer of its readers
    off, and for not there if neither helps. An op that reads codes beyond qmin or qmax may take them for these, as a
    lookup table does.
    """
    walked = walks.walk(Assumptions())
    off = _off(walked, walks.observed)
    seen: set[str] = set()
    while len(seen) < _MOST_DOUBTS and (doubt := _first_doubt(walked, walks, seen)) is not None:
        seen.add(doubt.name)
        for assumed in list(_explanations(doubt, walked, walks)):
            attempt = walks.walk(assumed)
            left = _off(attempt, walks.observed)
            if left < off:
                walked, off = attempt, left
    return walked


def _explanations(doubt: Meeting, walked: Walked, walks: Walks) -> Iterator[Assumptions]:
    """What may have become of a value."""
    assumed = walked.assumed
    past = walks.dequantizers_of(doubt.trail)
    for name, quantizer in past.items():
        yield replace(assumed, past={**assumed.past, name: quantizer})
    if len(past) > 1:
        yield replace(assumed, past={**assumed.past, **past})
    saturated = {item.name for item in walked.meetings if item.name in doubt.trail.operands and item.saturated}
    if saturated:
        yield replace(assumed, restored=assumed.restored | saturated)
    if doubt.kept_actual is None:
        yield replace(assumed, fused=assumed.fused | {doubt.name})
        yield replace(assumed, fused=assumed.fused | _beside(doubt, walked))
        for tensor in _tensors_for(doubt, walked, walks):
            yield replace(assumed, forced={**assumed.forced, doubt.name: tensor})
    for result in _handed_out(walked, walks).get(doubt.name, ()):
        found = walks.search.near(walks.codes_of(doubt, result), np.zeros((), bool), doubt.trail.places)
        if found is not None:
            yield replace(assumed, forced={**assumed.forced, doubt.name: found[1]})


def _beside(doubt: Meeting, walked: Walked) -> frozenset[str]:
    """The values that were not found and that the first reader of ``doubt`` is computed from, ``doubt`` among them."""
    trails = (*(item.trail for item in walked.meetings), *walked.trails)
    return frozenset(next((trail.joined for trail in trails if doubt.name in trail.joined), ()))


def _tensors_for(doubt: Meeting, walked: Walked, walks: Walks) -> list[Tensor]:
    """The tensors that may be the value, with other codes than the program's.

    An operand's own tensor is one of them: an op that hands codes on may have gone, or have moved elsewhere.
    """
    taken = {item.name: item.tensor.place for item in walked.meetings if item.tensor is not None}
    own = {place for name, place in taken.items() if name in doubt.trail.operands}
    others = frozenset(taken.values()) - own
    near = walks.search.nearest(doubt.expected, doubt.trail.places, others, doubt.trail.constant)
    return near[:_MOST_TENSORS]


def _first_doubt(walked: Walked, walks: Walks, seen: set[str]) -> Meeting | None:
    """The first value that was not found, and with which something that reads it is off; or that is off itself.

    Or one that was found, and is a result which is off: another value may have the codes that it should have.
    """
    doubtful = _doubtful(walked, walks.observed) - walked.assumed.fused - seen
    doubtful |= _handed_out(walked, walks).keys() - walked.assumed.forced.keys() - seen
    doubtful |= {item.name for item in walked.meetings if _distance(item) == 1.0 and item.name not in seen}
    return next((item for item in walked.meetings if item.name in doubtful), None)


def _doubtful(walked: Walked, observed: Observed) -> set[str]:
    """The values that were not found and that something reads which is off."""
    found: set[str] = set()
    for meeting in walked.meetings:
        if meeting.kept_actual is not None and not meeting.right:
            found |= set(meeting.trail.joined)
    for trail, expected, actual in zip(walked.trails, walked.results, observed.outputs, strict=True):
        if _is_off(expected, actual):
            found |= set(trail.joined)
    return found


def _handed_out(walked: Walked, walks: Walks) -> dict[str, list[torch.Tensor]]:
    """By value, the lowering's results that should be this value dequantized, and are not."""
    found: dict[str, list[torch.Tensor]] = {}
    for trail, expected, actual in zip(walked.trails, walked.results, walks.observed.outputs, strict=True):
        dequantizes = all(walks.view.graph[op].info.has(Trait.DEQUANTIZE) for op in trail.ops)
        if len(trail.operands) == 1 and dequantizes and _is_off(expected, actual):
            found.setdefault(trail.operands[0], []).append(actual)
    return found


def _off(walked: Walked, observed: Observed) -> float:
    """How many values are off, with those that were not found and may be the reason.

    One that was forced upon a tensor explains its readers, and counts half.
    """
    count = sum(0.5 if item.name in walked.assumed.forced else _distance(item) for item in walked.meetings)
    results = zip(walked.results, observed.outputs, strict=True)
    return count + len(_doubtful(walked, observed)) + sum(_is_off(expected, actual) for expected, actual in results)


def _distance(meeting: Meeting) -> float:
    """1 for a value that is off, a half for an int16 one that is so by what a RESCALE may round, 0 for others."""
    if meeting.kept_actual is None or meeting.right:
        return 0.0
    if meeting.kept_expected.itemsize != 2:
        return 1.0
    steps = np.abs(meeting.expected.astype(np.int64) - meeting.kept_actual.load().astype(np.int64))
    return 0.5 if steps.max() <= 1 else 1.0


def _is_off(expected: torch.Tensor, actual: torch.Tensor) -> bool:
    if expected.shape != actual.shape:
        return True
    errors = absolute_errors(actual, expected)
    largest = float(expected.to(torch.float64).abs().nan_to_num().max()) if expected.numel() else 0.0
    return bool((errors > 1e-5 * largest + 1e-12).any())
