"""Walks a program in float64 beside what its lowering computed, and finds each quantized value there.

Where a value is found, the walk goes on with the codes that the lowering really has. Each op is so computed on the
lowering's own inputs to it, and an error is not seen again at the ops that read it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram

from fuseguard.executorch.float64 import FLOAT32, TIE, Float64Interpreter, at_ties, widen
from fuseguard.executorch.interpreter import BodyInterpreter
from fuseguard.executorch.lockstep.layouts import Array, align
from fuseguard.executorch.lockstep.observing import Observed, Place, Tensor
from fuseguard.executorch.lockstep.searching import Search, as_codes
from fuseguard.executorch.lowering import is_quantizer
from fuseguard.executorch.outputs import quantizers_of_floats
from fuseguard.executorch.state import arguments, result_names, results


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


@dataclass(frozen=True, eq=False)
class Meeting:
    """One Q of the program, and the tensor of the lowering that has its codes, if one was found.

    ``expected``: the codes that the program makes of the lowering's own inputs. ``actual``: the lowering's, in the same
    layout, None if they were not found. ``ties``: where a value is at a rounding tie. ``unclipped``: the codes without
    the saturation to qmin and qmax. ``trail``: how the value came about, this Q included.
    """

    name: str
    expected: Array
    actual: Array | None
    tensor: Tensor | None
    ties: Array
    unclipped: Array
    trail: Trail

    @property
    def right(self) -> bool:
        """Whether every code is the expected one or, at a tie, the one beside it."""
        if self.actual is None:
            return False
        steps = np.abs(self.expected.astype(np.int64) - self.actual.astype(np.int64))
        return bool(((steps == 0) | (self.ties & (steps == 1))).all())


@dataclass(frozen=True)
class Walked:
    """One walk: the meetings in the program's order, and the results that it computes from the lowering's codes.

    ``trails``: those of the results. ``fused``: the Qs that did not round.
    """

    meetings: tuple[Meeting, ...]
    results: tuple[torch.Tensor, ...]
    trails: tuple[Trail, ...]
    fused: frozenset[str]


class Walks:
    """Walks of one functional program on one set of inputs, beside one run of its lowering."""

    def __init__(self, program: ExportedProgram, inputs: Sequence[Any], observed: Observed) -> None:
        self.program = program
        self.observed = observed
        self.search = Search(observed)
        self.of_floats = quantizers_of_floats(program)
        #: One value for each placeholder.
        self.given = arguments(program, inputs)

    def walk(self, forced: Mapping[str, Tensor], fused: frozenset[str]) -> Walked:
        """One walk.

        ``forced``: by the name of a Q, the tensor to take for its codes. ``fused``: Qs that do not round, because the
        lowering has no such value.
        """
        interpreter = _Walker(self, forced, fused)
        with torch.no_grad():
            outputs = interpreter.run(*map(widen, self.given))
        return Walked(tuple(interpreter.meetings), results(self.program, outputs), interpreter.trails(), fused)

    def eager_codes(self, walked: Walked) -> dict[str, Array]:
        """By Q, the codes that torch yields from the codes that a walk has found, in the eager program's float32.

        The backend computes the entries of a lookup table in float32 too. They are these, and not those of float64.
        """
        interpreter = _Eager(self.program.graph_module, walked)
        with torch.no_grad():
            interpreter.run(*self.given)
        return interpreter.codes


class _Walker(Float64Interpreter):
    def __init__(self, walks: Walks, forced: Mapping[str, Tensor], fused: frozenset[str]) -> None:
        super().__init__(walks.program.graph_module, 0.0)
        self.walks = walks
        self.forced = forced
        self.fused = fused
        self.of_floats = walks.of_floats
        self.meetings: list[Meeting] = []
        self._trail: dict[str, Trail] = {}
        self._unrounded: dict[str, torch.Tensor] = {}

    def run_node(self, n: torch.fx.Node) -> Any:
        if n.op == "output":
            return super().run_node(n)
        trail = self._trail[n.name] = self._trail_to(n)
        if is_quantizer(n):
            return self._meet(n, trail)
        first = n.args[0] if n.args else None
        if isinstance(first, torch.fx.Node) and first.name in self._unrounded and "dequantize_per_t" in str(n.target):
            return self._unrounded[first.name]
        return super().run_node(n)

    def trails(self) -> tuple[Trail, ...]:
        """By result, in the order of :func:`fuseguard.executorch.state.results`."""
        return tuple(self._trail.get(name, Trail()) for name in result_names(self.walks.program))

    def _trail_to(self, n: torch.fx.Node) -> Trail:
        trails = [self._trail[item.name] for item in n.all_input_nodes if item.name in self._trail]
        return Trail.through(trails, *([n.name] if n.op == "call_function" else []))

    def _meet(self, n: torch.fx.Node, trail: Trail) -> Any:
        source = n.args[0]
        assert isinstance(source, torch.fx.Node)
        value = self.env[source]
        codes = super().run_node(n)
        scale, zero_point = float(n.args[1]), int(n.args[2])  # type: ignore[arg-type]
        steps = (value / scale).to(torch.float64)
        # Floats are quantized in float32, where a half may be another number than in float64.
        ties = at_ties(steps, TIE + (FLOAT32 * steps.abs() if n.name in self.of_floats else 0.0)).numpy()
        expected = codes.detach().numpy()
        limits = np.iinfo(expected.dtype)
        rounded = np.nan_to_num(np.rint(steps.numpy())) + zero_point
        unclipped = np.clip(rounded, limits.min, limits.max).astype(expected.dtype)
        if n.name in self.fused:
            self._unrounded[n.name] = value
        found = None if n.name in self.fused else self._find(n.name, expected, ties, trail)
        actual, tensor = found if found is not None else (None, None)
        self.meetings.append(Meeting(n.name, expected, actual, tensor, ties, unclipped, trail))
        if actual is None or tensor is None:
            self._trail[n.name] = replace(trail, joined=(*trail.joined, n.name))
            return codes
        self._trail[n.name] = Trail(frozenset((tensor.place,)), (n.name,))
        return torch.from_numpy(np.ascontiguousarray(actual))

    def _find(self, name: str, expected: Array, ties: Array, trail: Trail) -> tuple[Array, Tensor] | None:
        forced = self.forced.get(name)
        if forced is not None:
            alignment = align(as_codes(forced.values, expected), expected)
            return (alignment.values, forced) if alignment is not None else None
        return self.walks.search.near(expected, ties, trail.places)


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
