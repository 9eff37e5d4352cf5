"""Walks a program in float64 beside what its lowering computed, and finds each quantized value there.

Where a value is found, the walk goes on with the codes that the lowering really has. Each op is so computed on the
lowering's own inputs to it, and an error is not seen again at the ops that read it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import networkx as nx
import numpy as np
import torch
from torch.export import ExportedProgram

from fuseguard.executorch.float64 import Float64Interpreter, widen
from fuseguard.executorch.interpreter import BodyInterpreter
from fuseguard.executorch.lockstep.layouts import Array, align, sorted_distance
from fuseguard.executorch.lockstep.observing import Observed, Place, Tensor
from fuseguard.executorch.outputs import quantizers_of_floats
from fuseguard.executorch.state import arguments, result_names, results

#: How near a tie, in steps, a value must be for its rounding to count as one, and what float32 may move it by.
TIE = 1e-6
_FLOAT32 = 4 * 2.0**-24

#: By the size of a code in bytes: by how many steps a tensor may be off to be taken for a value's without a doubt.
_NEAR = {1: 1, 2: 8}
#: Tensors that are compared element by element where none has a value's codes.
_MOST_COMPARED = 12


@dataclass(frozen=True, eq=False)
class Meeting:
    """One Q of the program, or one result, and the tensor of the lowering that has its codes, if one was found.

    ``expected``: the codes (of a result: the values) that the program makes of the lowering's own inputs; ``actual``:
    the lowering's, in the same layout, None if they were not found. ``ties``: where a value is at a rounding tie.
    ``unclipped``: the codes without the saturation to qmin and qmax. ``ops``: the ops of the program since the Qs
    before, ``operands`` those Qs, ``joined`` the Qs among ``ops`` that were not found.
    """

    name: str
    expected: Array
    actual: Array | None
    tensor: Tensor | None
    ties: Array
    unclipped: Array
    ops: tuple[str, ...]
    operands: tuple[str, ...]
    joined: tuple[str, ...]

    @property
    def differing(self) -> Array:
        """Where the two have different codes; everywhere if the codes were not found."""
        if self.actual is None:
            return np.ones(self.expected.shape, dtype=bool)
        return np.asarray(self.expected != self.actual)

    @property
    def right(self) -> bool:
        """Whether every code is the expected one or, at a tie, the one beside it."""
        if self.actual is None:
            return False
        steps = np.abs(self.expected.astype(np.int64) - self.actual.astype(np.int64))
        return bool(((steps == 0) | (self.ties & (steps == 1))).all())


@dataclass(frozen=True, slots=True)
class Trail:
    """How a value came about since the lowering's codes were last met.

    ``places``: of these codes. ``operands``: their Qs. ``ops``: the ops since, in order. ``joined``: the Qs among them,
    which were not found.
    """

    places: frozenset[Place] = frozenset()
    operands: tuple[str, ...] = ()
    ops: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()

    @classmethod
    def through(cls, trails: Sequence[Trail], *ops: str) -> Trail:
        """That of a value which an op computes from values with ``trails``."""
        return cls(
            frozenset[Place]().union(*(trail.places for trail in trails)),
            tuple(dict.fromkeys(item for trail in trails for item in trail.operands)),
            (*dict.fromkeys(item for trail in trails for item in trail.ops), *ops),
            tuple(dict.fromkeys(item for trail in trails for item in trail.joined)),
        )


@dataclass(frozen=True)
class Walked:
    """One walk: the meetings in the program's order, and the results that it computes from the lowering's codes.

    ``trails``: those of the results.
    ``fused``: the Qs that did not round.
    """

    meetings: tuple[Meeting, ...]
    results: tuple[torch.Tensor, ...]
    trails: tuple[Trail, ...]
    fused: frozenset[str]


def walk(
    program: ExportedProgram,
    inputs: Sequence[Any],
    observed: Observed,
    forced: Mapping[str, Tensor],
    fused: frozenset[str],
) -> Walked:
    """Walks a functional program.

    ``forced``: by the name of a Q, the tensor to take for its codes. ``fused``: Qs that do not round, because the
    lowering has no such value.
    """
    interpreter = _Walker(program, observed, forced, fused)
    with torch.no_grad():
        outputs = interpreter.run(*map(widen, arguments(program, inputs)))
    return Walked(tuple(interpreter.meetings), results(program, outputs), interpreter.trails(), fused)


class _Walker(Float64Interpreter):
    def __init__(
        self, program: ExportedProgram, observed: Observed, forced: Mapping[str, Tensor], fused: frozenset[str]
    ) -> None:
        super().__init__(program.graph_module, 0.0)
        self.program = program
        self.observed = observed
        self.forced = forced
        self.fused = fused
        self.of_floats = quantizers_of_floats(program)
        self.meetings: list[Meeting] = []
        self._trail: dict[str, Trail] = {}
        self._unrounded: dict[str, torch.Tensor] = {}
        self._search = _search_of(observed)

    def run_node(self, n: torch.fx.Node) -> Any:
        if n.op == "output":
            return super().run_node(n)
        trail = self._trail[n.name] = self._trail_to(n)
        if _is_quantizer(n):
            return self._meet(n, trail)
        first = n.args[0] if n.args else None
        if isinstance(first, torch.fx.Node) and first.name in self._unrounded and "dequantize_per_t" in str(n.target):
            return self._unrounded[first.name]
        return super().run_node(n)

    def trails(self) -> tuple[Trail, ...]:
        """By result, in the order of :func:`fuseguard.executorch.state.results`."""
        return tuple(self._trail.get(name, Trail()) for name in result_names(self.program))

    def _trail_to(self, n: torch.fx.Node) -> Trail:
        trails = [self._trail[item.name] for item in n.all_input_nodes if item.name in self._trail]
        return Trail.through(trails, *([n.name] if n.op == "call_function" else []))

    def _meet(self, n: torch.fx.Node, trail: Trail) -> Any:
        source = n.args[0]
        assert isinstance(source, torch.fx.Node)
        value = self.env[source]
        codes = super().run_node(n)
        scale, zero_point = float(n.args[1]), int(n.args[2])  # type: ignore[arg-type]
        steps = (value / scale).to(torch.float64).numpy()
        # Floats are quantized in float32, where a half may be another number than in float64.
        reach = TIE + (_FLOAT32 * np.abs(steps) if n.name in self.of_floats else 0.0)
        ties = np.abs(steps - np.floor(steps) - 0.5) <= reach
        expected = codes.detach().numpy()
        limits = np.iinfo(expected.dtype)
        unclipped = np.clip(np.nan_to_num(np.rint(steps)) + zero_point, limits.min, limits.max).astype(expected.dtype)
        if n.name in self.fused:
            self._unrounded[n.name] = value
        found = None if n.name in self.fused else self._find(n.name, expected, ties, trail)
        actual, tensor = found if found is not None else (None, None)
        self.meetings.append(
            Meeting(
                n.name, expected, actual, tensor, ties, unclipped, trail.ops, trail.operands, trail.joined
            )
        )  # fmt: skip
        if actual is None or tensor is None:
            self._trail[n.name] = replace(trail, joined=(*trail.joined, n.name))
            return codes
        self._trail[n.name] = Trail(frozenset((tensor.place,)), (n.name,))
        return torch.from_numpy(np.ascontiguousarray(actual))

    def _find(self, name: str, expected: Array, ties: Array, trail: Trail) -> tuple[Array, Tensor] | None:
        forced = self.forced.get(name)
        if forced is not None:
            alignment = align(_as(forced.values, expected), expected)
            return (alignment.values, forced) if alignment is not None else None
        return self._search.near(expected, ties, trail.places)


def eager_codes(program: ExportedProgram, inputs: Sequence[Any], walked: Walked) -> dict[str, Array]:
    """By Q, the codes that torch yields from the codes that a walk has found: in float32, as the eager program does.

    A lookup table is made by torch in float32 too, so that its entries are these and not those of float64.
    """
    interpreter = _Eager(program.graph_module, walked)
    with torch.no_grad():
        interpreter.run(*arguments(program, inputs))
    return interpreter.codes


class _Eager(BodyInterpreter):
    def __init__(self, module: torch.fx.GraphModule, walked: Walked) -> None:
        super().__init__(module)
        self.found = {meeting.name: meeting.actual for meeting in walked.meetings}
        self.codes: dict[str, Array] = {}

    def of_body(self, module: torch.fx.GraphModule) -> BodyInterpreter:
        return BodyInterpreter(module)

    def run_node(self, n: torch.fx.Node) -> Any:
        result = super().run_node(n)
        if n.name not in self.found:
            return result
        self.codes[n.name] = result.detach().numpy()
        actual = self.found[n.name]
        return result if actual is None else torch.from_numpy(np.ascontiguousarray(actual))


class _Search:
    """The tensors of a lowering by size, sorted once."""

    def __init__(self, observed: Observed) -> None:
        self.observed = observed
        self.by_size: dict[tuple[int, int], list[Tensor]] = {}
        for tensor in observed.tensors:
            self.by_size.setdefault((tensor.values.size, tensor.values.itemsize), []).append(tensor)
        self._sorted: dict[tuple[Place, str], Array] = {}
        self._behind: dict[Place, set[Place]] = {}

    def near(self, expected: Array, ties: Array, places: frozenset[Place]) -> tuple[Array, Tensor] | None:
        """The first tensor with the expected codes, ties aside; else the one that is off by the least, if by little."""
        wanted = np.sort(expected.astype(np.int32), axis=None)
        most = _NEAR[expected.itemsize]
        best: tuple[int, Array, Tensor] | None = None
        for tensor in self.candidates(expected, places):
            if sorted_distance(self._in_order(tensor, expected), wanted) > most:
                continue
            alignment = align(_as(tensor.values, expected), expected)
            if alignment is None:
                continue
            steps = np.abs(alignment.values.astype(np.int64) - expected.astype(np.int64))
            wrong = int(((steps > 0) & ~(ties & (steps == 1))).sum())
            if not wrong:
                return alignment.values, tensor
            if steps.max() <= most and (best is None or wrong < best[0]):
                best = wrong, alignment.values, tensor
        return best[1:] if best is not None else None

    def nearest(self, expected: Array, places: frozenset[Place], taken: frozenset[Place]) -> list[Tensor]:
        """The tensors whose codes vary as the expected ones do, the nearest first."""
        wanted = np.sort(expected.astype(np.int32), axis=None)
        free = [tensor for tensor in self.candidates(expected, places) if tensor.place not in taken]
        free.sort(key=lambda tensor: sorted_distance(self._in_order(tensor, expected), wanted))
        alike = []
        for tensor in free[:_MOST_COMPARED]:
            alignment = align(_as(tensor.values, expected), expected)
            if alignment is not None and _alike(alignment.values, expected):
                alike.append((alignment.mean_error, tensor.number, tensor))
        return [tensor for _, _, tensor in sorted(alike, key=lambda item: item[:2])]

    def candidates(self, expected: Array, places: frozenset[Place]) -> list[Tensor]:
        """The tensors of this size that are computed from all of ``places``, in the order of execution."""
        tensors = self.by_size.get((expected.size, expected.itemsize), [])
        behind = [self._descendants(place) for place in places]
        return [tensor for tensor in tensors if all(tensor.place in reached for reached in behind)]

    def _descendants(self, place: Place) -> set[Place]:
        if place not in self._behind:
            self._behind[place] = {place, *nx.descendants(self.observed.flow, place)}
        return self._behind[place]

    def _in_order(self, tensor: Tensor, expected: Array) -> Array:
        key = tensor.place, expected.dtype.kind
        if key not in self._sorted:
            self._sorted[key] = np.sort(_as(tensor.values, expected).astype(np.int32), axis=None)
        return self._sorted[key]


def _search_of(observed: Observed) -> _Search:
    """One for each run of a lowering, however often it is walked."""
    search = getattr(observed, "_search", None)
    if not isinstance(search, _Search):
        search = observed._search = _Search(observed)  # type: ignore[attr-defined]
    return search


def nearest(observed: Observed, meeting: Meeting, places: frozenset[Place], taken: frozenset[Place]) -> list[Tensor]:
    """The tensors that ``meeting`` may be about though they have other codes, the most probable first.

    They are computed from all of ``places`` and are not ``taken``.
    """
    return _search_of(observed).nearest(meeting.expected, places, taken)


def _alike(one: Array, other: Array) -> bool:
    """Whether the two vary together: a value that came out wrong still depends on what it was computed from."""
    left, right = one.astype(np.float64).reshape(-1), other.astype(np.float64).reshape(-1)
    if left.size < 2 or left.std() == 0 or right.std() == 0:
        return bool(np.abs(left - right).mean() <= 16) if left.size else False
    return bool(np.corrcoef(left, right)[0, 1] > 0.5)


def _as(values: Array, expected: Array) -> Array:
    """``values`` with the sign that ``expected`` has: TOSA has no uint8, and keeps such codes in int8 tensors."""
    return values.view(expected.dtype) if values.dtype.itemsize == expected.dtype.itemsize else values


def _is_quantizer(n: torch.fx.Node) -> bool:
    return n.op == "call_function" and "quantized_decomposed.quantize_per_tensor.default" in str(n.target)
