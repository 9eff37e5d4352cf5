"""Where a lowering goes wrong: judges each piece of a program between two values that the lowering has."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from torch.export import ExportedProgram

from fuseguard.engine.finding import Finding
from fuseguard.engine.registry import load_registry
from fuseguard.engine.run import run
from fuseguard.executorch.comparing import absolute_errors, differing_elements
from fuseguard.executorch.lockstep.certainty import Verdicts, certain_values
from fuseguard.executorch.lockstep.float_layers import FloatLayers
from fuseguard.executorch.lockstep.histogram import histogram
from fuseguard.executorch.lockstep.layers import with_ratios
from fuseguard.executorch.lockstep.observing import Observed
from fuseguard.executorch.lockstep.settling import settled
from fuseguard.executorch.lockstep.tables import table_bounds
from fuseguard.executorch.lockstep.walking import Meeting, Trail, Walked, Walks, silent
from fuseguard.executorch.outputs import output_grids, rescales
from fuseguard.ir.graph import Node, Ref
from fuseguard.ir.ops import Trait
from fuseguard.ir.view import View
from fuseguard.target import Target

Status: TypeAlias = Literal["exact", "tie", "saturated", "rounded", "wrong", "not found"]

#: Ops that choose one of two operands, which they bring to one scale first.
_COMPARING = frozenset(("maximum", "minimum"))


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
    ``elements`` differ, ``ties`` of them at a rounding tie, by one code. ``certain``: whether the codes are without a
    doubt those of the value and of its operands; False at most where the status is ``wrong``. ``at``: the index of the
    worst element, in the program's layout; ``expected`` and ``actual`` its codes (values); ``witness``: by operand, its
    code at the same index, where it has the same shape. ``source``, ``module``: of the last computing op.
    ``findings``: codes of the rules that name one of the ops; none are looked for where all cells are exact or ties.

    Ratios of signal to error in dB, of the whole program up to this value: ``sqnr_db`` of the lowering to the eager
    program, ``float_sqnr_db`` of the lowering to the float program, ``quantization_sqnr_db`` of the eager program to
    the float program. None where the lowering has no such value, or where nothing was found or given to compare with.
    ``float_node``: the value in the float program, "" if none was found. ``errors``: of a wrong quantized value, how
    many elements are off by how much: the lower end of each bin in steps (negative where the lowering has less), and
    their number.
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
    ties: int = 0
    certain: bool = True
    sqnr_db: float | None = None
    float_node: str = ""
    float_sqnr_db: float | None = None
    quantization_sqnr_db: float | None = None
    at: tuple[int, ...] = ()
    expected: float = 0.0
    actual: float = 0.0
    witness: tuple[tuple[str, int], ...] = ()
    source: str = ""
    module: str = ""
    findings: tuple[str, ...] = ()
    errors: tuple[tuple[float, int], ...] = ()


def cells_of(
    program: ExportedProgram,
    inputs: Sequence[Any],
    observed: Observed,
    target: Target,
    names: Sequence[str],
    progress: Callable[[str], None] = silent,
    layers: FloatLayers | None = None,
) -> tuple[Cell, ...]:
    """The cells of a functional program on ``inputs``, in its order; those of results at the end.

    ``names``: what the results are called. ``observed``: a run of its lowering on ``inputs`` and the same state.
    ``progress`` is called with the cell that is looked at (``cell 3 of 24``). ``layers``: a run of the float program.

    Raises RuntimeError for an operator that mixes dtypes or knows no float64.
    """
    walks = Walks(program, inputs, observed, progress)
    walked = settled(walks)
    judge = Judge(walks.view, target, (), program)
    in_float32 = walks.eager_codes(walked)
    cells = judge.cells(walks, walked, names, in_float32)
    if any(cell.status in ("saturated", "rounded", "wrong") for cell in cells):
        found = run(walks.view.graph, target, load_registry().rules).findings
        cells = Judge(walks.view, target, found, program).cells(walks, walked, names, in_float32)
    trails = {meeting.name: meeting.trail for meeting in walked.meetings}
    trails |= dict(zip(names, walked.trails, strict=True))

    def restored(name: str) -> Verdicts:
        walk = walks.walk(replace(walked.assumed, restored=frozenset((name,))))
        again = judge.cells(walks, walk, names, walks.eager_codes(walk))
        return {cell.value: cell.status in ("wrong", "not found") for cell in again}

    wrong = [cell.value for cell in cells if cell.status == "wrong"]
    certain = certain_values(wrong, trails, lambda name: judge.computable(trails[name]), restored)
    cells = [replace(cell, certain=cell.status != "wrong" or cell.value in certain) for cell in cells]
    return with_ratios(cells, walks, walked, layers)


class Judge:
    def __init__(self, view: View, target: Target, findings: Sequence[Finding], program: ExportedProgram) -> None:
        """``view``: of ``program``."""
        self.view = view
        self.target = target
        self.program = program
        self.nodes = {node.name: node for node in program.graph.nodes}
        self.findings = [item for item in findings if item.effect.value not in ("exact", "quality", "cpu_fallback")]

    def cells(
        self, walks: Walks, walked: Walked, names: Sequence[str], in_float32: Mapping[str, np.ndarray[Any, Any]]
    ) -> list[Cell]:
        """Those of the values in the program's order, then those of the results.

        ``in_float32``: ``walks.eager_codes(walked)``.
        """
        cells = [self.cell(meeting, walked, in_float32[meeting.name]) for meeting in walked.meetings]
        return [*cells, *self.results(walked, walks.observed, names)]

    def computable(self, trail: Trail) -> bool:
        """Whether all ops of a cell compute in float64 as the program says: bodies of control flow round inside."""
        return not any(node.info.has(Trait.CONTROL_FLOW) for node in self.computing(trail.ops))

    def cell(self, meeting: Meeting, walked: Walked, in_float32: np.ndarray[Any, Any]) -> Cell:
        """``in_float32``: the codes that torch itself yields, in the arithmetic of the eager program."""
        common = self._common(meeting.name, meeting.trail, walked)
        expected, actual = meeting.expected, meeting.actual
        if actual is None:
            return Cell(status="not found", elements=expected.size, **common)
        steps = np.abs(expected.astype(np.int64) - actual.astype(np.int64))
        steps = np.where(actual == in_float32, 0, steps)
        counted = np.where(meeting.ties & (steps == 1), 0, steps)
        common |= {
            "tensor": str(meeting.tensor),
            "steps": float(steps.max()) if steps.size else 0.0,
            "differing": int((steps > 0).sum()),
            "ties": int((counted < steps).sum()),
            "elements": steps.size,
        }
        unrounded = not walked.unrounded.isdisjoint(meeting.trail.joined)
        if not steps.any():
            return Cell(status="rounded" if unrounded else "exact", **common)
        common |= self._worst(meeting, counted if counted.any() else steps, walked)
        if not counted.any():
            return Cell(status="rounded" if unrounded else "tie", **common)
        if bool((actual == meeting.unclipped)[counted > 0].all()):
            return Cell(status="saturated", **common)
        bounds = self.bounds(meeting, walked)
        within = bool((counted <= bounds).all())
        if not within:
            common["errors"] = histogram(actual.astype(np.int64) - expected, steps > 0)
        return Cell(status="rounded" if within else "wrong", bound=float(np.max(bounds)), **common)

    def results(self, walked: Walked, observed: Observed, names: Sequence[str]) -> Iterable[Cell]:
        grids = output_grids(self.program, self.target, self.view)
        masks = differing_elements(observed.outputs, walked.results, grids)
        for name, mask, grid, expected, actual, trail in zip(
            names, masks, grids, walked.results, observed.outputs, walked.trails, strict=True
        ):
            if bool(mask.any()) and len(trail.operands) == 1 and not self.computing(trail.ops):
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
                }
            yield Cell(status="wrong" if bool(mask.any()) else "exact", tensor=name, **common)

    def _common(self, name: str, trail: Trail, walked: Walked) -> dict[str, Any]:
        computing = self.computing(trail.ops)
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
            if all(node.info.has(Trait.TRANSPARENT) for node in self.computing(current.ops)):
                above = [name for name in current.operands if name in trails and name not in seen]
                seen.update(above)
                pending += [trails[name] for name in above]
        return found

    def computing(self, ops: Sequence[str]) -> list[Node]:
        """The nodes of ``ops`` that are not Q and DQ."""
        nodes = [self.view.graph[op] for op in ops if op in self.view.graph.nodes]
        return [node for node in nodes if not node.info.has(Trait.QUANTIZE | Trait.DEQUANTIZE)]

    def _worst(self, meeting: Meeting, steps: np.ndarray[Any, Any], walked: Walked) -> dict[str, Any]:
        expected, actual = meeting.expected, meeting.actual
        assert actual is not None
        at = tuple(int(index) for index in np.unravel_index(int(steps.argmax()), steps.shape))
        by_name = {item.name: item for item in walked.meetings}
        witness = []
        for operand in meeting.trail.operands:
            values = by_name[operand].actual if operand in by_name else None
            if values is not None and values.shape == steps.shape:
                witness.append((operand, int(values[at])))
        return {
            "at": at,
            "expected": float(expected[at]),
            "actual": float(actual[at]),
            "witness": tuple(witness),
        }

    def bounds(self, meeting: Meeting, walked: Walked, *, any_codes: bool = False) -> np.ndarray[Any, Any]:
        """By how many steps codes may be off: what each op of the cell may be off by.

        One number for each element, or one for all of them. ``any_codes``: whatever codes the operands have.
        """
        bounds = np.zeros(())
        for node in self.computing(meeting.trail.ops):
            if node.kind in _COMPARING:
                bounds = bounds + self._of_operands(node)
            elif meeting.kept_expected.itemsize == 2:
                unary = node.info.has(Trait.UNARY)
                bounds = bounds + (self._of_table(node, meeting, walked, any_codes) if unary else rescales(node))
        return bounds

    def _of_operands(self, node: Node) -> float:
        """What an op may be off by that rounds its operands to multiples of the smaller of their scales, in int32."""
        operands, out = [self.view.in_qp(node, number) for number in (0, 1)], self.view.out_qp(node)
        known = [qparams.scale for qparams in operands if qparams is not None and qparams.usable]
        own = rescales(node) if out is not None and out.dtype == "int16" else 0
        if len(set(known)) < 2 or out is None or not out.usable:
            return own
        return max(own, math.ceil(min(known) / 2 / out.scale))

    def _of_table(self, node: Node, meeting: Meeting, walked: Walked, any_codes: bool) -> np.ndarray[Any, Any]:
        """What a lookup table may be off by: for each element, where the operand has the shape of the cell's value."""
        data, out, dq = self.view.in_qp(node, 0), self.view.out_qp(node), self.view.in_dq(node, 0)
        read = {ref.name for ref in dq.args if isinstance(ref, Ref)} if dq is not None else set()
        given = next((item for item in walked.meetings if item.name in read), None)
        if data is None or out is None or given is None or not (data.usable and out.usable):
            return np.ones(())
        if (data.dtype, out.dtype) != ("int16", "int16"):
            return np.ones(())
        codes = (given.kept_actual or given.kept_expected).load()
        if any_codes:
            codes = np.arange(data.qmin, data.qmax + 1)
        bounds = table_bounds(self.nodes[node.name], data, out, codes)
        if bounds is None:
            return np.ones(())
        alike = not any_codes and codes.shape == meeting.kept_expected.shape and meeting.trail.operands == (given.name,)
        return bounds.at(codes) if alike else np.asarray(bounds.seen)
