"""Walks a program in float64 beside what its lowering computed, and finds each quantized value there.

Where a value is found, the walk goes on with the codes that the lowering really has. Each op is so computed on the
lowering's own inputs to it, and an error is not seen again at the ops that read it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram

from fuseguard.executorch.float64 import FLOAT32, TIE, Float64Interpreter, at_ties, widen
from fuseguard.executorch.interpreter import BodyInterpreter
from fuseguard.executorch.keeping import Kept, KeptByName
from fuseguard.executorch.lockstep.deferring import Deferring
from fuseguard.executorch.lockstep.layouts import Array, align
from fuseguard.executorch.lockstep.observing import Observed, Tensor
from fuseguard.executorch.lockstep.searching import Places, Search, as_codes
from fuseguard.executorch.lowering import is_quantizer
from fuseguard.executorch.outputs import quantizers_of_floats, saturating_activations
from fuseguard.executorch.state import arguments, given_names, result_names, results
from fuseguard.executorch.unrounded import is_wide, saturated, without_rounding
from fuseguard.ir.view import View
from fuseguard.readers.fx import read_program


@dataclass(frozen=True, slots=True)
class Trail:
    """How a value came about since the lowering's codes were last met.

    ``places``: of these codes, by value. ``operands``: their Qs. ``ops``: the ops since, in order. ``joined``: the Qs
    among them, which were not found. ``wide``: the value may be an accumulator, beyond the limits of the codes' dtype.
    ``constant``: it is the same in every run.
    """

    places: frozenset[Places] = frozenset()
    operands: tuple[str, ...] = ()
    ops: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()
    wide: bool = False
    constant: bool = False

    @classmethod
    def through(cls, trails: Sequence[Trail], *ops: str, wide: bool = False) -> Trail:
        """That of a value which an op computes from values with ``trails``."""
        return cls(
            frozenset[Places]().union(*(trail.places for trail in trails)),
            tuple(dict.fromkeys(item for trail in trails for item in trail.operands)),
            (*dict.fromkeys(item for trail in trails for item in trail.ops), *ops),
            tuple(dict.fromkeys(item for trail in trails for item in trail.joined)),
            wide,
            all(trail.constant for trail in trails),
        )


@dataclass(frozen=True, eq=False)
class Meeting:
    """One Q of the program, and the tensor of the lowering that has its codes, if one was found.

    ``expected``: the codes that the program makes of the lowering's own inputs. ``actual``: the lowering's, in the same
    layout, None if they were not found. ``ties``: where a value is at a rounding tie. ``unclipped``: the codes without
    the saturation to qmin and qmax, nor that of an activation with the same bounds. ``trail``: how the value came
    about, this Q included. Large arrays are read from files each time.
    """

    name: str
    kept_expected: Kept
    kept_actual: Kept | None
    tensor: Tensor | None
    kept_ties: Kept
    kept_unclipped: Kept
    trail: Trail

    @property
    def expected(self) -> Array:
        return self.kept_expected.load()

    @property
    def actual(self) -> Array | None:
        return None if self.kept_actual is None else self.kept_actual.load()

    @property
    def ties(self) -> Array:
        return self.kept_ties.load()

    @property
    def unclipped(self) -> Array:
        return self.kept_unclipped.load()

    @cached_property
    def saturated(self) -> bool:
        """Whether it is off, and nowhere but where the program saturates and the lowering does not."""
        if self.kept_actual is None or self.right:
            return False
        actual = self.kept_actual.load()
        return bool(((actual == self.expected) | (actual == self.unclipped)).all())

    @cached_property
    def right(self) -> bool:
        """Whether every code is the expected one or, at a tie, the one beside it."""
        if self.kept_actual is None:
            return False
        if self.kept_actual is self.kept_expected:
            return True
        steps = np.abs(self.expected.astype(np.int64) - self.kept_actual.load().astype(np.int64))
        return bool(((steps == 0) | (self.ties & (steps == 1))).all())


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What a walk takes for granted of a lowering.

    ``forced``: by the name of a Q, the tensor to take for its codes. ``fused``: Qs that do not round, because the
    lowering has no such value. ``past``: by the name of a DQ, the Q that it reads and that its reader is computed past,
    in int32; other readers have the codes. ``restored``: Qs whose readers are given the codes that the program expects.
    """

    forced: Mapping[str, Tensor] = field(default_factory=dict)
    fused: frozenset[str] = frozenset()
    past: Mapping[str, str] = field(default_factory=dict)
    restored: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Walked:
    """One walk: the meetings in the program's order, and the results that it computes from the lowering's codes.

    ``trails``: those of the results. ``unrounded``: the Qs that did not round for some reader.
    """

    meetings: tuple[Meeting, ...]
    results: tuple[torch.Tensor, ...]
    trails: tuple[Trail, ...]
    assumed: Assumptions

    @property
    def fused(self) -> frozenset[str]:
        """The Qs that did not round."""
        return self.assumed.fused

    @property
    def unrounded(self) -> frozenset[str]:
        return self.assumed.fused.union(self.assumed.past.values())


def silent(text: str) -> None:
    """For a caller who does not want to know how far the walks are."""
    del text


class Walks:
    """Walks of one functional program on one set of inputs, beside one run of its lowering."""

    def __init__(
        self,
        program: ExportedProgram,
        inputs: Sequence[Any],
        observed: Observed,
        progress: Callable[[str], None] = silent,
    ) -> None:
        self.program = program
        self.progress = progress
        self.number = sum(is_quantizer(node) for node in program.graph.nodes)
        self.observed = observed
        self.search = Search(observed)
        self.view = View(read_program(program))
        self.of_floats = quantizers_of_floats(self.view)
        self.saturating = saturating_activations(self.view)
        self._nodes = {node.name: node for node in program.graph.nodes}
        #: The placeholders of what may differ from run to run.
        self.differing = given_names(program)
        #: One value for each placeholder.
        self.given = arguments(program, inputs)

    def walk(self, assumed: Assumptions) -> Walked:
        interpreter = _Walker(self, assumed)
        with torch.no_grad():
            outputs = interpreter.run(*map(widen, self.given))
        values = results(self.program, outputs)
        return Walked(tuple(interpreter.meetings), values, interpreter.trails(), assumed)

    def dequantizers_of(self, trail: Trail) -> dict[str, str]:
        """The DQs that read the operands of a value, by name: the Qs that they read."""
        found = {}
        for op in trail.ops:
            source = self._nodes[op].args[0] if self._nodes[op].args else None
            if isinstance(source, torch.fx.Node) and is_quantizer(source) and source.name in trail.operands:
                found[op] = source.name
        return found

    def codes_of(self, meeting: Meeting, values: torch.Tensor) -> Array:
        """``values`` quantized as the Q of a meeting does."""
        scale, zero_point = map(float, self._nodes[meeting.name].args[1:3])
        return _unclipped(values.detach().to(torch.float64).numpy() / scale, zero_point, meeting.expected.dtype)

    def eager_codes(self, walked: Walked) -> Mapping[str, Array]:
        """By Q, the codes that torch yields from the codes that a walk has found, in the eager program's float32.

        The backend computes the entries of a lookup table in float32 too. They are these, and not those of float64.
        """
        found = {
            meeting.name: meeting.kept_expected if meeting.name in walked.assumed.restored else meeting.kept_actual
            for meeting in walked.meetings
        }
        own = self.eager[0]
        if all(codes is None or np.array_equal(codes.load(), own[name]) for name, codes in found.items()):
            return own
        return self._eager(found)[0]

    @cached_property
    def eager(self) -> tuple[Mapping[str, Array], tuple[torch.Tensor, ...]]:
        """By Q, the codes that torch yields, and the results of the program."""
        return self._eager({})

    def _eager(self, found: Mapping[str, Kept | None]) -> tuple[Mapping[str, Array], tuple[torch.Tensor, ...]]:
        """``found``: the codes that the readers of a Q are given in place of its own, if not None."""
        interpreter = _Eager(self.program.graph_module, found)
        with torch.no_grad():
            outputs = interpreter.run(*self.given)
        return KeptByName(interpreter.codes), results(self.program, outputs)


class _Walker(Deferring, Float64Interpreter):
    def __init__(self, walks: Walks, assumed: Assumptions) -> None:
        super().__init__(walks.program.graph_module, 0.0)
        self.walks = walks
        self.assumed = assumed
        self.of_floats = walks.of_floats
        self.meetings: list[Meeting] = []
        self._trail: dict[str, Trail] = {}
        #: By Q that some reader is computed past: its value as that reader has it, and how it came about.
        self._unrounded: dict[str, tuple[torch.Tensor, Trail]] = {}
        #: By activation that is the saturation of its Q: its operand.
        self._unsaturated: dict[str, torch.Tensor] = {}
        self._kept = assumed.fused.union(assumed.past.values())

    def run_node(self, n: torch.fx.Node) -> Any:
        if n.op == "output":
            return super().run_node(n)
        first = n.args[0] if n.args else None
        source = first.name if isinstance(first, torch.fx.Node) and "dequantize_per_t" in str(n.target) else ""
        if source in self._unrounded and (source in self.assumed.fused or n.name in self.assumed.past):
            value, trail = self._unrounded[source]
            self._trail[n.name] = replace(trail, ops=(*trail.ops, n.name), joined=(*trail.joined, source))
            assert isinstance(first, torch.fx.Node)
            return without_rounding(value, first, n)
        trail = self._trail[n.name] = self._trail_to(n)
        if n.name in self.walks.saturating and isinstance(first, torch.fx.Node):
            self._unsaturated[n.name] = self.value_of(first).clone()  # relu_ overwrites it
        result = self._meet(n, trail) if is_quantizer(n) else super().run_node(n)
        for node in self.user_to_last_uses.get(n, ()):
            self._unsaturated.pop(node.name, None)
        return result

    def trails(self) -> tuple[Trail, ...]:
        """By result, in the order of :func:`fuseguard.executorch.state.results`."""
        return tuple(self._trail.get(name, Trail()) for name in result_names(self.walks.program))

    def _trail_to(self, n: torch.fx.Node) -> Trail:
        trails = [self._trail[item.name] for item in n.all_input_nodes if item.name in self._trail]
        if n.op != "call_function":
            return Trail(constant=n.name not in self.walks.differing)
        wide = is_wide(self.walks.view.graph[n.name], (trail.wide for trail in trails))
        return Trail.through(trails, n.name, wide=wide)

    def _meet(self, n: torch.fx.Node, trail: Trail) -> Any:
        self.walks.progress(f"cell {len(self.meetings) + 1} of {self.walks.number}")
        source = n.args[0]
        assert isinstance(source, torch.fx.Node)
        value = self.value_of(source)
        codes = super().run_node(n)
        scale, zero_point = float(n.args[1]), int(n.args[2])  # type: ignore[arg-type]
        steps = (value / scale).to(torch.float64)
        # Floats are quantized in float32, where a half may be another number than in float64.
        ties = at_ties(steps, TIE + (FLOAT32 * steps.abs() if n.name in self.of_floats else 0.0)).numpy()
        expected = codes.detach().numpy()
        unsaturated = (self._unsaturated.get(source.name, value) / scale).to(torch.float64)
        unclipped = _unclipped(unsaturated.numpy(), zero_point, expected.dtype)
        if n.name in self._kept:
            # An accumulator may go on as it is. Codes cannot be beyond their dtype, whatever is left out.
            self._unrounded[n.name] = value if trail.wide else saturated(value, n), trail
        found = None if n.name in self.assumed.fused else self._find(n.name, expected, ties, trail)
        actual, tensor = found if found is not None else (None, None)
        # A network has millions of codes: what is equal is kept once.
        kept = Kept.of(expected)
        kept_actual = None
        if actual is not None:
            kept_actual = kept if np.array_equal(actual, expected) else Kept.of(actual)
        kept_unclipped = kept if np.array_equal(unclipped, expected) else Kept.of(unclipped)
        self.meetings.append(Meeting(n.name, kept, kept_actual, tensor, Kept.of(ties), kept_unclipped, trail))
        if actual is None or tensor is None:
            self._trail[n.name] = replace(trail, joined=(*trail.joined, n.name), wide=False)
            return codes
        places = frozenset((self.walks.search.places_of(tensor, expected),))
        if trail.constant:
            places = frozenset()  # it may be folded, and the tensor be another constant with these codes
        self._trail[n.name] = Trail(places, (n.name,), constant=trail.constant)
        return codes if n.name in self.assumed.restored else torch.from_numpy(np.asarray(actual, order="C"))

    def _find(self, name: str, expected: Array, ties: Array, trail: Trail) -> tuple[Array, Tensor] | None:
        forced = self.assumed.forced.get(name)
        if forced is not None:
            alignment = align(as_codes(forced.values, expected), expected)
            return (alignment.values, forced) if alignment is not None else None
        return self.walks.search.near(expected, ties, trail.places, trail.constant)


def _unclipped(steps: Array, zero_point: float, dtype: np.dtype[Any]) -> Array:
    """The codes of values in steps, saturated at the limits of their dtype alone."""
    limits = np.iinfo(dtype)
    codes: Array = np.clip(np.nan_to_num(np.rint(steps)) + zero_point, limits.min, limits.max).astype(dtype)
    return codes


class _Eager(Deferring):
    def __init__(self, module: torch.fx.GraphModule, found: Mapping[str, Kept | None]) -> None:
        super().__init__(module)
        self.found = found
        self.codes: dict[str, Kept] = {}

    def of_body(self, module: torch.fx.GraphModule) -> BodyInterpreter:
        return BodyInterpreter(module)

    def run_node(self, n: torch.fx.Node) -> Any:
        result = super().run_node(n)
        if not is_quantizer(n):
            return result
        self.codes[n.name] = Kept.of(result.detach().numpy())
        codes = self.found.get(n.name)
        return result if codes is None else torch.from_numpy(np.array(codes.load(), order="C"))
