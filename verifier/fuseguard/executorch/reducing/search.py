"""Makes a failing program smaller while it fails the same way: fewer ops, fewer outputs, smaller tensors."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from fuseguard.executorch.lockstep.cells import Cell
from fuseguard.executorch.proof import Proof
from fuseguard.executorch.reducing.failure import Failure, Judge
from fuseguard.executorch.reducing.piece import Piece, is_dq, is_q, is_unit
from fuseguard.executorch.reducing.shapes import Change, plainer, shrunk

#: Wrong cells that are tried as they are, the earliest first.
_MOST_CELLS = 3
#: Passes over all kinds of edits; each but the last has made the program smaller.
_MOST_PASSES = 4


class OutOfTime(Exception):
    """The budget is spent."""


class Search:
    """``best``: the smallest piece so far. ``confirmed``: whether it was seen to fail."""

    def __init__(
        self,
        piece: Piece,
        failure: Failure,
        judge: Judge,
        deadline: float,
        progress: Callable[[str], None] | None,
    ) -> None:
        self.best = piece
        self.confirmed = False
        self.failure = failure
        self.judge = judge
        self.deadline = deadline
        self.progress = progress
        self.doing = "start"
        self.tried = 0
        self._in_vain: set[Change] = set()

    def run(self, proof: Proof) -> None:
        """All edits, until none makes the program smaller. Raises OutOfTime; ``best`` is then what there is so far."""
        if proof.wrong_cells:
            self.doing = "cut to the wrong cell"
            self._from_cells(proof.wrong_cells)
        for _ in range(_MOST_PASSES):
            before = self.best
            self.doing = "leave out ops"
            self._fewer_units()
            self.doing = "leave out outputs"
            self._fewer_outputs()
            self.doing = "bypass ops"
            self._bypass()
            if self.best is before:
                break
        self.doing = "shrink shapes"
        while self._smaller_shapes():
            pass
        self.doing = "fill weights"
        while self._first(plainer(self.best)):
            pass

    def fails(self, piece: Piece) -> bool:
        """Whether a candidate fails the same way; if so, it is the best. Raises OutOfTime."""
        if time.monotonic() >= self.deadline:
            raise OutOfTime
        self.tried += 1
        if self.progress is not None:
            self.progress(f"{self.doing}: candidate {self.tried}, {len(self.best.ops)} ops so far")
        try:
            program = piece.export()
        except Exception:  # torch raises anything for what is not a program
            return False
        if not self.judge.fails_like(self.failure, program, piece.inputs):
            return False
        self.best, self.confirmed = piece, True
        return True

    def _first(self, candidates: Iterable[Piece]) -> bool:
        """Whether one of the candidates fails; the first that does is then the best."""
        return any(map(self.fails, candidates))

    def _from_cells(self, cells: Sequence[Cell]) -> None:
        """The wrong cells alone; with what computes their operands; and with what reads them."""
        piece = self.best
        values = piece.values()
        for cell in cells[:_MOST_CELLS]:
            units = [name for name in piece.units if name in cell.ops]
            for _ in range(3):
                if units and self._fails_on(piece, units, values):
                    return
                units = _grown(piece, units)

    def _fails_on(self, piece: Piece, units: Sequence[str], values: Mapping[str, Any]) -> bool:
        """Whether the units fail alone: on the program's own values, or on the lowering's."""
        candidate = _cut(piece, units, values)
        if candidate is None:
            return False
        if self.fails(candidate):
            return True
        if self.failure.outcome == "crash":
            return False
        codes = self._lowered_codes(piece, candidate)
        fed = _cut(piece, units, {**values, **codes}) if codes else None
        return fed is not None and self.fails(fed)

    def _lowered_codes(self, piece: Piece, candidate: Piece) -> dict[str, torch.Tensor]:
        """What the lowering has where ``candidate`` was cut off, by name: it may be off by a rounding."""
        nodes = {node.name: node for node in piece.module.graph.nodes}
        dequantized = {}
        for node in candidate.module.graph.nodes:
            source = nodes.get(node.name.removesuffix("_value")) if node.op == "placeholder" else None
            if source is not None and source.op != "placeholder":
                found = [dq for q in source.users if is_q(q) for dq in q.users if is_dq(dq)]
                if found:
                    dequantized[source.name] = found[0].name
        if not dequantized:
            return {}
        above = piece.with_outputs(list(dequantized.values()))
        try:
            proof = self.judge.prove(above.export(), above.inputs)
        except ImportError:
            raise
        except Exception:  # what computes the operands is not a program by itself
            return {}
        if len(proof.outputs) != len(dequantized):
            return {}
        return dict(zip(dequantized, proof.outputs, strict=True))

    def _fewer_units(self) -> None:
        """Delta debugging (Zeller and Hildebrandt's ddmin) over the ops of the best piece."""
        piece = self.best
        values = piece.values()
        known: dict[frozenset[str], bool] = {frozenset(piece.units): True}

        def fails(units: Sequence[str]) -> bool:
            key = frozenset(units)
            if key not in known:
                candidate = _cut(piece, units, values) if units else None
                known[key] = candidate is not None and self.fails(candidate)
            return known[key]

        smallest(piece.units, fails)

    def _fewer_outputs(self) -> None:
        names = [node.name for node in self.best.outputs]
        piece = self.best
        smallest(names, lambda some: len(some) == len(names) or self.fails(piece.with_outputs(some)))

    def _smaller_shapes(self) -> bool:
        """Whether a candidate with smaller tensors fails. What was tried in vain is not tried again."""
        for change, candidate in shrunk(self.best, both_ends=self.failure.outcome != "crash"):
            if change not in self._in_vain:
                if self.fails(candidate):
                    return True
                self._in_vain.add(change)
        return False

    def _bypass(self) -> None:
        """Ops whose operand has the shape of their result: what reads them reads the operand."""
        while self._first(_bypasses(self.best)):
            pass


def smallest(items: Sequence[str], fails: Callable[[Sequence[str]], bool]) -> Sequence[str]:
    """ddmin: a subsequence of ``items`` that fails, and of which no part of one item less does."""
    parts = 2
    while len(items) > 1:
        size = -(-len(items) // parts)
        chunks = [items[start : start + size] for start in range(0, len(items), size)]
        found = next((chunk for chunk in chunks if len(chunks) > 1 and fails(chunk)), None)
        if found is not None:
            items, parts = found, 2
            continue
        rests = ([item for item in items if item not in chunk] for chunk in chunks) if len(chunks) > 2 else iter(())
        rest = next((rest for rest in rests if fails(rest)), None)
        if rest is not None:
            items, parts = rest, max(parts - 1, 2)
        elif size == 1:
            break
        else:
            parts = min(2 * parts, len(items))
    return items


def _cut(piece: Piece, units: Sequence[str], values: Mapping[str, Any]) -> Piece | None:
    """The units alone; None if that is not a program."""
    try:
        candidate = piece.cut(units, values)
    except (ValueError, KeyError, RuntimeError):
        return None
    return candidate if candidate.outputs else None


def _grown(piece: Piece, units: Sequence[str]) -> list[str]:
    """The units with the next ones on both sides."""
    nodes = {node.name: node for node in piece.module.graph.nodes}
    found = set(units)
    for name in units:
        for direction in ("all_input_nodes", "users"):
            pending, seen = list(getattr(nodes[name], direction)), set()
            while pending:
                node = pending.pop()
                if node in seen:
                    continue
                seen.add(node)
                if is_unit(node):
                    found.add(node.name)
                elif node.op == "call_function":
                    pending += getattr(node, direction)
    return [name for name in piece.units if name in found]


def _bypasses(piece: Piece) -> Iterable[Piece]:
    try:
        values = piece.values()
    except Exception:  # as many as there are ops
        return
    nodes = {node.name: node for node in piece.module.graph.nodes}
    for name in piece.units:
        node = nodes[name]
        for operand in node.all_input_nodes:
            one, other = values.get(name), values.get(operand.name)
            if not (isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor)):
                continue
            if one.shape != other.shape or one.dtype != other.dtype:
                continue
            # First with the Q and DQ of the result, which then have nothing to do.
            after = [dq.name for q in node.users if is_q(q) for dq in q.users if is_dq(dq)]
            if len(after) == 1 and len(node.users) == 1 and is_dq(operand):
                yield piece.bypassed(after[0], operand.name)
            yield piece.bypassed(name, operand.name)
