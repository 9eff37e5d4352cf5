"""Where a lowering goes wrong: judges each piece of a program between two values that the lowering has."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch.export import ExportedProgram

from fuseguard.engine.finding import Finding
from fuseguard.engine.registry import load_registry
from fuseguard.engine.run import run
from fuseguard.executorch.comparing import absolute_errors, differing_elements, sqnr
from fuseguard.executorch.lockstep.observing import Observed, Tensor, observe
from fuseguard.executorch.lockstep.walking import Meeting, Trail, Walked, Walks
from fuseguard.executorch.outputs import off_by, output_grids
from fuseguard.ir.graph import Node
from fuseguard.ir.ops import Trait
from fuseguard.ir.view import View
from fuseguard.readers.fx import read_program
from fuseguard.target import Target

Status: TypeAlias = Literal["exact", "tie", "saturated", "rounded", "wrong", "not found"]

#: Wrong values that are looked for at most, the earliest first: each costs one more walk.
_MOST_DOUBTS = 12
#: Bins of a histogram of errors.
MOST_BINS = 32
#: Tensors that are tried for each.
_MOST_TENSORS = 3


@dataclass(frozen=True)
class Cell:
    """A piece of a program, from values that were found in its lowering to the next one.

    ``value``: the quantize op, or the result (``output 0``, ``buffer k``), that the piece ends with. ``ops``: its ops
    by name. ``operands``: the quantize ops that it begins with. ``tensor``: the lowering's tensor with the value,
    "" if none was found.

    ``status``, for the lowering's own codes of the operands:
        ``exact``: every code is the one that the program yields in float64; ``tie``: or, where a value is within 1e-6
        steps of a rounding tie, the one beside it; ``saturated``: different only where the program saturates at qmin or
        qmax, and the lowering at the dtype's limits; ``rounded``: int16 codes within ``bound`` steps, or codes that
        the program has without the rounding of the quantize ops in ``joined``; ``wrong``: different; ``not found``:
        the lowering has no such tensor, and what reads the value is judged together with it.

    ``steps``: the largest difference in codes (of a result without a scale: in real units). ``differing`` of
    ``elements`` differ. ``at``: the index of the worst element, in the program's layout; ``expected`` and ``actual``
    its codes (values); ``witness``: by operand, its code at the same index, where it has the same shape.
    ``source``, ``module``: of the last computing op. ``findings``: codes of the rules that name one of the ops.
    ``sqnr_db``: signal to error ratio of the value in dB, infinite if nothing differs. ``errors``: of a wrong quantized
    value, how many elements are off by how much: the lower end of each bin in steps (negative where the lowering has
    less), and their number.
    """

    value: str
    status: Status
    ops: tuple[str, ...] = ()
    operands: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()
    tensor: str = ""
    steps: float = 0.0
    bound: float = 0.0
    differing: int = 0
    elements: int = 0
    at: tuple[int, ...] = ()
    expected: float = 0.0
    actual: float = 0.0
    witness: tuple[tuple[str, int], ...] = ()
    source: str = ""
    module: str = ""
    findings: tuple[str, ...] = ()
    sqnr_db: float = math.inf
    errors: tuple[tuple[float, int], ...] = ()


def cells_of(
    program: ExportedProgram, inputs: Sequence[Any], lowered: ExportedProgram, target: Target, names: Sequence[str]
) -> tuple[Cell, ...]:
    """The cells of a functional program on ``inputs``, in its order; those of results at the end.

    ``names``: what the results are called. ``lowered``: the edge program that it was lowered to, with the same state.

    Raises what :func:`fuseguard.executorch.delegates.run_edge_program` does.
    """
    walks = Walks(program, inputs, observe(lowered, inputs))
    walked = _settled(walks)
    graph = read_program(program)
    view = View(graph)
    judge = _Judge(view, target, run(graph, target, load_registry().rules).findings)
    in_float32 = walks.eager_codes(walked)
    cells = [judge.cell(meeting, walked, in_float32[meeting.name]) for meeting in walked.meetings]
    return (*cells, *judge.results(program, walked, walks.observed, names))


def _settled(walks: Walks) -> Walked:
    """The walk in which the fewest values are off.

    A value whose codes are nowhere in the lowering is either not there (fused away, or kept in int32), or wrong. It is
    taken for the one that leaves fewer of its readers off, and for not there if neither helps.
    """
    forced: dict[str, Tensor] = {}
    fused: frozenset[str] = frozenset()
    observed = walks.observed
    walked = walks.walk(forced, fused)
    off = _off(walked, observed, forced)
    settled: set[str] = set()
    while len(settled) < _MOST_DOUBTS and (doubt := _first_doubt(walked, observed, settled)) is not None:
        settled.add(doubt.name)
        attempts = [(forced, fused | {doubt.name})]
        attempts += [({**forced, doubt.name: tensor}, fused) for tensor in _tensors_for(doubt, walked, walks)]
        for tensors, left_out in attempts:
            attempt = walks.walk(tensors, left_out)
            left = _off(attempt, observed, tensors)
            if left < off:
                walked, forced, fused, off = attempt, tensors, left_out, left
    return walked


def _tensors_for(doubt: Meeting, walked: Walked, walks: Walks) -> list[Tensor]:
    """The tensors that may be the value, with other codes than the program's.

    An operand's own tensor is one of them: an op that hands codes on may have gone, or have moved elsewhere.
    """
    taken = {item.name: item.tensor.place for item in walked.meetings if item.tensor is not None}
    places = frozenset(place for name, place in taken.items() if name in doubt.trail.operands)
    near = walks.search.nearest(doubt.expected, places, frozenset(taken.values()) - places)
    return near[:_MOST_TENSORS]


def _first_doubt(walked: Walked, observed: Observed, settled: set[str]) -> Meeting | None:
    """The first value that was not found, and with which something that reads it is off."""
    doubtful = _doubtful(walked, observed) - settled
    return next((item for item in walked.meetings if item.actual is None and item.name in doubtful), None)


def _doubtful(walked: Walked, observed: Observed) -> set[str]:
    """The values that were not found and that something reads which is off."""
    found: set[str] = set()
    for meeting in walked.meetings:
        if meeting.actual is not None and not meeting.right:
            found |= set(meeting.trail.joined)
    for trail, expected, actual in zip(walked.trails, walked.results, observed.outputs, strict=True):
        if _is_off(expected, actual):
            found |= set(trail.joined)
    return found - walked.fused


def _off(walked: Walked, observed: Observed, forced: Mapping[str, Tensor]) -> float:
    """How many values are off, with those that were not found and may be the reason.

    One that was forced upon a tensor explains its readers, and counts half.
    """
    wrong = [item for item in walked.meetings if item.actual is not None and not item.right]
    count = sum(0.5 if item.name in forced else 1.0 for item in wrong)
    results = zip(walked.results, observed.outputs, strict=True)
    return count + len(_doubtful(walked, observed)) + sum(_is_off(expected, actual) for expected, actual in results)


def _is_off(expected: torch.Tensor, actual: torch.Tensor) -> bool:
    if expected.shape != actual.shape:
        return True
    errors = absolute_errors(actual, expected)
    largest = float(expected.to(torch.float64).abs().nan_to_num().max()) if expected.numel() else 0.0
    return bool((errors > 1e-5 * largest + 1e-12).any())


class _Judge:
    def __init__(self, view: View, target: Target, findings: Sequence[Finding]) -> None:
        self.view = view
        self.target = target
        self.findings = [item for item in findings if item.effect.value not in ("exact", "quality", "cpu_fallback")]

    def cell(self, meeting: Meeting, walked: Walked, in_float32: np.ndarray[Any, Any]) -> Cell:
        """``in_float32``: the codes that torch itself yields, in the arithmetic of the eager program."""
        common = self._common(meeting.name, meeting.trail, walked)
        if meeting.actual is None:
            return Cell(status="not found", elements=meeting.expected.size, **common)
        steps = np.abs(meeting.expected.astype(np.int64) - meeting.actual.astype(np.int64))
        steps = np.where(meeting.actual == in_float32, 0, steps)
        counted = np.where(meeting.ties & (steps == 1), 0, steps)
        common |= {
            "tensor": str(meeting.tensor),
            "steps": float(steps.max()) if steps.size else 0.0,
            "differing": int((steps > 0).sum()),
            "elements": steps.size,
            "sqnr_db": self._sqnr(meeting, steps),
        }
        unrounded = not walked.fused.isdisjoint(meeting.trail.joined)
        if not steps.any():
            return Cell(status="rounded" if unrounded else "exact", **common)
        common |= self._worst(meeting, counted if counted.any() else steps, walked)
        if not counted.any():
            return Cell(status="rounded" if unrounded else "tie", **common)
        if bool((meeting.actual == meeting.unclipped)[counted > 0].all()):
            return Cell(status="saturated", **common)
        bound = self._bound(meeting)
        if counted.max() > bound:
            common["errors"] = histogram(meeting.actual.astype(np.int64) - meeting.expected, steps > 0)
        return Cell(status="rounded" if counted.max() <= bound else "wrong", bound=bound, **common)

    def results(
        self, program: ExportedProgram, walked: Walked, observed: Observed, names: Sequence[str]
    ) -> Iterable[Cell]:
        grids = output_grids(program, self.target)
        masks = differing_elements(observed.outputs, walked.results, grids)
        for name, mask, grid, expected, actual, trail in zip(
            names, masks, grids, walked.results, observed.outputs, walked.trails, strict=True
        ):
            if bool(mask.any()) and len(trail.operands) == 1 and not self._computing(trail.ops):
                # The codes are right and the result is not: what is wrong is the way out of the delegate.
                before = next(meeting.trail for meeting in walked.meetings if meeting.name == trail.operands[0])
                trail = replace(trail, ops=before.ops)
            errors = absolute_errors(actual, expected)
            worst = int(errors.reshape(-1).argmax()) if errors.numel() else 0
            common = self._common(name, trail, walked)
            common |= {"elements": errors.numel(), "differing": int(mask.sum())}
            if errors.numel() and bool(mask.any()):
                place = tuple(int(index) for index in np.unravel_index(worst, tuple(errors.shape)))
                common |= {
                    "steps": float(errors.max()) / (grid.step or 1.0),
                    "at": place,
                    "expected": float(expected.reshape(-1)[worst]),
                    "actual": float(actual.reshape(-1)[worst]),
                    "sqnr_db": sqnr([expected], [actual]),
                }
            yield Cell(status="wrong" if bool(mask.any()) else "exact", tensor=name, **common)

    def _common(self, name: str, trail: Trail, walked: Walked) -> dict[str, Any]:
        computing = self._computing(trail.ops)
        last = computing[-1] if computing else None
        named = {*trail.ops, name, *self._moved_past(trail, walked)}
        return {
            "value": name,
            "ops": tuple(node.name for node in computing),
            "operands": trail.operands,
            "joined": tuple(item for item in trail.joined if item != name),
            "source": str(last.source) if last is not None and last.source else "",
            "module": last.module if last is not None else "",
            "findings": tuple(sorted({item.code for item in self.findings if not named.isdisjoint(item.nodes)})),
        }

    def _moved_past(self, trail: Trail, walked: Walked) -> set[str]:
        """The ops up to the first one that computes, of a cell that only moves values.

        The backend moves such ops past others. What is wrong then shows at the moved op, and the rule names the other.
        """
        trails = {meeting.name: meeting.trail for meeting in walked.meetings}
        found: set[str] = set()
        pending, seen = [trail], set()
        while pending:
            current = pending.pop()
            found.update(current.ops)
            if all(node.info.has(Trait.TRANSPARENT) for node in self._computing(current.ops)):
                above = [name for name in current.operands if name in trails and name not in seen]
                seen.update(above)
                pending += [trails[name] for name in above]
        return found

    def _computing(self, ops: Sequence[str]) -> list[Node]:
        """The nodes of ``ops`` that are not Q and DQ."""
        nodes = [self.view.graph[op] for op in ops if op in self.view.graph.nodes]
        return [node for node in nodes if not node.info.has(Trait.QUANTIZE | Trait.DEQUANTIZE)]

    def _worst(self, meeting: Meeting, steps: np.ndarray[Any, Any], walked: Walked) -> dict[str, Any]:
        assert meeting.actual is not None
        at = tuple(int(index) for index in np.unravel_index(int(steps.argmax()), steps.shape))
        by_name = {item.name: item for item in walked.meetings}
        witness = []
        for operand in meeting.trail.operands:
            values = by_name[operand].actual if operand in by_name else None
            if values is not None and values.shape == steps.shape:
                witness.append((operand, int(values[at])))
        return {
            "at": at,
            "expected": float(meeting.expected[at]),
            "actual": float(meeting.actual[at]),
            "witness": tuple(witness),
        }

    def _sqnr(self, meeting: Meeting, steps: np.ndarray[Any, Any]) -> float:
        """The ratio in dB. Scales cancel out; the zero point does not."""
        assert meeting.actual is not None
        node = self.view.graph.nodes.get(meeting.name)
        qparams = self.view.qparams(node) if node is not None else None
        zero = qparams.zero_points[0] if qparams is not None and qparams.known else 0
        signal = meeting.expected.astype(np.float64) - zero
        output = np.where(steps > 0, meeting.actual.astype(np.float64) - zero, signal)
        return sqnr([torch.from_numpy(signal)], [torch.from_numpy(output)])

    def _bound(self, meeting: Meeting) -> float:
        """By how many steps int16 codes may be off: what each op of the cell may be off by."""
        if meeting.expected.itemsize != 2:
            return 0.0
        return float(sum(off_by(self.view, node, self.target) for node in self._computing(meeting.trail.ops)))


def histogram(differences: np.ndarray[Any, Any], differing: np.ndarray[Any, Any]) -> tuple[tuple[float, int], ...]:
    """The differing elements by their difference: the lower ends of at most MOST_BINS bins, and the counts."""
    chosen = differences[differing]
    low, high = int(chosen.min()), int(chosen.max())
    width = -(-(high - low + 1) // MOST_BINS)
    edges = np.arange(low, high + width + 1, width)
    counts, _ = np.histogram(chosen, edges)
    return tuple((float(edge), int(count)) for edge, count in zip(edges, counts, strict=False))
