"""One cell, cut out on both sides: its forms, and runs of it on any codes of its operands."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import networkx as nx
import numpy as np
import torch

from fuseguard.executorch.all_inputs.forms import Array, Elements, Expressions, Leaves, Unsupported, leaf_elements
from fuseguard.executorch.all_inputs.graph_rules import Form, GraphRules
from fuseguard.executorch.all_inputs.lowering_forms import Lowering, LoweringForms, LoweringRun, constants_of
from fuseguard.executorch.all_inputs.values import Values
from fuseguard.executorch.float64 import FLOAT32, TIE, Float64Interpreter, at_ties, widen
from fuseguard.executorch.interpreter import BodyInterpreter
from fuseguard.executorch.lockstep.layouts import order_in
from fuseguard.executorch.lockstep.observing import Place
from fuseguard.executorch.lockstep.walking import Meeting, Trail, Walked, Walks
from fuseguard.executorch.lowering import is_quantizer
from fuseguard.executorch.unrounded import hands_codes_on, saturated, without_rounding


@dataclass(frozen=True, eq=False)
class Operand:
    """``order``: by element in the program's layout, that of the lowering's tensor. ``offset``: of its leaves.

    ``found``: the lowering's codes on the inputs at hand, flat. ``limits``: qmin and qmax, if the lowering has codes
    beyond them and the ops that read the operand take these for them.
    """

    name: str
    place: Place
    order: Array
    shape_there: tuple[int, ...]
    dtype: np.dtype[Any]
    low: int
    high: int
    zero: int
    offset: int
    found: Array
    limits: tuple[int, int] | None = None

    @property
    def kind(self) -> str:
        """What forms call it. Two operands with one tensor are one."""
        return "/".join(self.place)

    @property
    def codes(self) -> Array:
        """All codes that the program can have here."""
        return np.arange(self.low, self.high + 1).astype(self.dtype)

    def there(self, values: Array) -> Array:
        """Codes in the program's layout, as the lowering has them."""
        flat = np.empty(self.order.size, values.dtype)
        flat[self.order.reshape(-1)] = values.reshape(-1)
        return flat.reshape(self.shape_there)

    def index(self, leaf: int) -> tuple[int, ...]:
        """Where a leaf is in the program's layout."""
        where = int(np.flatnonzero(self.order.reshape(-1) == leaf - self.offset)[0])
        return tuple(int(item) for item in np.unravel_index(where, self.order.shape))


@dataclass(frozen=True, eq=False)
class Rounded:
    """What a quantize op makes of values: the codes, those without qmin and qmax, and where a value is at a tie.

    ``near``: where a value is as near a tie as the lowering's constants may move it.
    """

    codes: Array
    unclipped: Array
    ties: Array
    near: Array

    @classmethod
    def of(cls, q: torch.fx.Node, values: Array, of_floats: bool = False, reach: Any = 0.0) -> Rounded:
        """``reach``: by how many steps the lowering's constants may move a value."""
        args: Any = q.args
        scale, zero, low, high, dtype = args[1:6]
        steps = torch.as_tensor(values).to(torch.float64) / scale
        limits = torch.iinfo(dtype)
        rounded = np.nan_to_num(np.rint(steps.numpy())) + zero
        ties = at_ties(steps, TIE + (FLOAT32 * steps.abs() if of_floats else 0.0)).numpy()
        near = at_ties(steps, torch.as_tensor(TIE + reach)).numpy()
        kind = np.dtype(str(dtype).removeprefix("torch."))
        unclipped = np.clip(rounded, limits.min, limits.max).astype(kind)
        return cls(np.clip(rounded, low, high).astype(kind), unclipped, ties, near)


class Piece:
    """The cell that ends with ``name``: a quantize op of the program, or a node whose value is a result.

    ``target``: where the lowering has the value, ``order``: the order in which (None: the program's own).
    ``saturated``: operands that have codes beyond qmin and qmax in the lowering.
    """

    def __init__(
        self, walks: Walks, walked: Walked, lowering: Lowering, name: str, trail: Trail, target: Place,
        order: Array | None, saturated: frozenset[str] = frozenset(),
    ) -> None:  # fmt: skip
        self.walks = walks
        self.program = walks.program
        self.nodes: dict[str, torch.fx.Node] = {node.name: node for node in self.program.graph.nodes}
        self.fused = walked.unrounded - {name}
        #: Those that saturate at the limits of their dtype, and those of them that may have values beyond.
        self.within, self.clipped = self._within(walked)
        if not self.fused.isdisjoint(trail.operands):
            raise Unsupported("an operand is read both with and without the rounding of its quantize op")
        self.lowering = lowering
        self.node = self.nodes[name]
        self.trail = trail
        self.target = target
        self.order = order
        self.leaves = Leaves()
        self.operands = self._operands(walked, saturated)
        self.by_kind: dict[Hashable, Operand] = {operand.kind: operand for operand in self.operands}
        self._inputs: dict[int, Array] = {}
        self.program_table, self.lowering_table = Expressions(), Expressions()
        version = lowering.file("delegate 0").root["version"] if lowering.calls else None
        self.in_float64 = Values(self.program_table, version, "float64")
        self.in_float32 = Values(self.program_table, version, "float32")
        self.in_lowering = Values(self.lowering_table, version, "float32")
        limits: dict[Hashable, tuple[int, int]] = {
            operand.kind: operand.limits for operand in self.operands if operand.limits is not None
        }
        self.in_float64.limits |= limits
        self.in_float32.limits |= limits
        self._forms: dict[str, Form] = {}
        self._rules = GraphRules(
            self.program_table, self.leaves, self._on_all_codes, wide=True, unrounded=self.fused, clipped=self.clipped
        )  # fmt: skip
        self._constants = constants_of(self.program)
        self.lowering_forms = self._lowering_forms(walked)

    def _within(self, walked: Walked) -> tuple[frozenset[str], frozenset[str]]:
        view = self.walks.view
        within = [item for item in walked.meetings if item.name in self.fused and not item.trail.wide]
        clipped = frozenset(
            meeting.name for meeting in within
            if not hands_codes_on(
                view, meeting.trail.ops, [self.nodes[q].args[1:3] for q in (*meeting.trail.operands, meeting.name)]
            )
        )  # fmt: skip
        return frozenset(meeting.name for meeting in within), clipped

    def _operands(self, walked: Walked, saturated: frozenset[str]) -> list[Operand]:
        meetings = {meeting.name: meeting for meeting in walked.meetings}
        offsets: dict[Place, int] = {}
        found = []
        for name in self.trail.operands:
            meeting = meetings[name]
            tensor = meeting.tensor
            assert tensor is not None
            assert meeting.actual is not None
            if tensor.place not in offsets:
                offsets[tensor.place] = self.leaves.take(tensor.values.size)
            order = layout(meeting)
            q = self.nodes[name]
            if not isinstance(q.args[1], float):
                raise Unsupported("an operand whose scale is computed")
            zero, low, high = (int(str(item)) for item in q.args[2:5])
            own = (low, high) if name in saturated & walked.assumed.restored else None
            if name in saturated:
                limits = np.iinfo(meeting.expected.dtype)
                low, high = int(limits.min), int(limits.max)
            found.append(
                Operand(
                    name, tensor.place, order, tensor.values.shape, meeting.expected.dtype, low, high, zero,
                    offsets[tensor.place], tensor.values.reshape(-1).view(meeting.expected.dtype), own,
                )
            )  # fmt: skip
        return found

    # Forms --------------------------------------------------------------------------------------------------------

    def _lowering_forms(self, walked: Walked) -> LoweringForms:
        known = {}
        for operand in self.operands:
            leaves = operand.offset + np.arange(operand.order.size)
            known[operand.place] = leaf_elements(self.lowering_table, operand.shape_there, leaves, operand.kind)
        # What is computed from the operands may be another value of the program, too.
        flow = self.walks.observed.flow
        after = {place for operand in self.operands for place in nx.descendants(flow, operand.place)}
        ends = {meeting.tensor.place for meeting in walked.meetings if meeting.tensor is not None}
        self.foreign = ends - {*known, self.target} - after
        positions = user_inputs(self.lowering.program)
        return LoweringForms(
            self.lowering, known, lambda node: self._input(self.lowering_table, positions, node), self.lowering_table,
            self.leaves, self._on_all_codes, frozenset(self.foreign),
        )  # fmt: skip

    def _input(self, table: Expressions, positions: Mapping[str, int], node: torch.fx.Node) -> Elements:
        value = node.meta.get("val")
        if not isinstance(value, torch.Tensor) or node.name not in positions:
            raise Unsupported("an input that is not a tensor, or state")
        position = positions[node.name]
        shape = tuple(int(size) for size in value.shape)
        if position not in self._inputs:
            size = int(np.prod(shape, dtype=np.int64))
            self._inputs[position] = self.leaves.take(size) + np.arange(size)
        return leaf_elements(table, shape, self._inputs[position], ("input", position))

    def program_form(self) -> Elements:
        """The value's elements as the program computes them. Raises Unsupported."""
        known: dict[str, Elements] = {}
        for operand in self.operands:
            leaves = operand.offset + operand.order
            known[operand.name] = leaf_elements(self.program_table, operand.order.shape, leaves, operand.kind)
        positions = user_inputs(self.program)

        def form(node: torch.fx.Node) -> Form:
            if node.name in known:
                return known[node.name]
            if node.name not in self._forms:
                if node.op == "placeholder" and node.name in self._constants:
                    self._forms[node.name] = self._rules.constant(self._constants[node.name])
                elif node.op == "placeholder":
                    self._forms[node.name] = self._input(self.program_table, positions, node)
                elif node.op == "get_attr":
                    self._forms[node.name] = self._rules.constant(getattr(self.program.graph_module, str(node.target)))
                else:
                    self._forms[node.name] = self._rules.apply(node, form)
            return self._forms[node.name]

        return self._rules.elements(form(self.node))

    @property
    def program_sums(self) -> list[Any]:
        return self._rules.sums.accumulators

    def lowering_form(self) -> Elements:
        """The value's elements as the lowering computes them, in the program's layout. Raises Unsupported."""
        found = self.lowering_forms.rules.elements(self.lowering_forms.form(self.target))
        if self.order is None:
            return found
        return Elements(
            found.exprs.reshape(-1)[self.order], [leaf.reshape(-1)[self.order] for leaf in found.leaves]
        )  # fmt: skip

    def _on_all_codes(self, table: Expressions, number: int) -> tuple[Array, Array]:
        operand = self.by_kind.get(table[number].kinds[0])
        if operand is None:
            raise Unsupported("a function of something else than codes")
        values = self.in_lowering if table is self.lowering_table else self.in_float64
        return values([number], [operand.codes[:, None]]), operand.codes

    # Runs ---------------------------------------------------------------------------------------------------------

    def run_lowering(self, codes: Mapping[str, Array]) -> Array:
        """The value in the program's layout, for codes by operand in the program's layout. Raises Unsupported."""
        if self.reads_more:
            raise Unsupported("the lowering reads a value that is none of the operands")
        given = {operand.place: operand.there(codes[operand.name]) for operand in self.operands}
        inputs = dict(zip(user_inputs(self.lowering.program), user_values(self.walks), strict=True))
        found = LoweringRun(self.lowering, given, inputs).value(self.target)
        array: Array = found.numpy() if isinstance(found, torch.Tensor) else found
        return array if self.order is None else array.reshape(-1)[self.order]

    @cached_property
    def reads_more(self) -> bool:
        """Whether the lowering computes the value from something else than the operands and constants, too."""
        flow = self.walks.observed.flow
        known = {operand.place for operand in self.operands}
        pending, seen = [self.target], set()
        while pending:
            place = pending.pop()
            if place in seen or place in known:
                continue
            seen.add(place)
            if place in self.foreign:
                return True
            pending += flow.predecessors(place) if place in flow else []
        return False

    def run_program(self, codes: Mapping[str, Array]) -> tuple[Array, Array]:
        """What the value is before its quantize op (or itself, if it is a result) in float64, and torch's own value."""
        exact = self._interpreted(Float64Interpreter(self.program.graph_module, 0.0), codes, wide=True)
        own = self._interpreted(BodyInterpreter(self.program.graph_module), codes, wide=False)
        return exact, own

    def _interpreted(self, interpreter: Any, codes: Mapping[str, Array], *, wide: bool) -> Array:
        if wide:
            interpreter.of_floats = self.walks.of_floats
        placeholders = [node for node in self.program.graph.nodes if node.op == "placeholder"]
        for node, value in zip(placeholders, self.walks.given, strict=True):
            interpreter.env[node] = widen(value) if wide else value
        limits = {operand.name: operand.limits for operand in self.operands}
        for name, values in codes.items():
            own = limits[name]
            values = values if own is None else np.clip(values, *own)
            interpreter.env[self.nodes[name]] = torch.from_numpy(np.asarray(values, order="C"))
        ops = set(self.trail.ops)
        with torch.no_grad():
            for node in self.program.graph.nodes:
                if node.op == "get_attr":
                    interpreter.env[node] = interpreter.run_node(node)
                if node.op != "call_function" or node.name not in ops or node.name in codes:
                    continue
                first = node.args[0] if node.args else None
                if wide and node is self.node and is_quantizer(node):
                    return interpreter.env[first].numpy()  # type: ignore[no-any-return]
                if node.name in self.fused:
                    value = interpreter.env[first]
                    interpreter.env[node] = saturated(value, node) if node.name in self.within else value
                    continue
                if isinstance(first, torch.fx.Node) and first.name in self.fused:
                    interpreter.env[node] = without_rounding(interpreter.env[first], first, node)
                    continue
                interpreter.env[node] = interpreter.run_node(node)
        found: Array = interpreter.env[self.node].numpy()
        return found


def layout(meeting: Meeting) -> Array:
    """By element of a value in the program's layout, the element of the lowering's tensor that it was found at."""
    assert meeting.tensor is not None
    assert meeting.actual is not None
    order = order_in(meeting.tensor.values, meeting.actual)
    assert order is not None
    return order


def user_inputs(program: Any) -> dict[str, int]:
    """The placeholders of the user's inputs, and their positions."""
    from torch.export.graph_signature import InputKind

    specs: Sequence[Any] = program.graph_signature.input_specs
    names = [spec.arg.name for spec in specs if spec.kind == InputKind.USER_INPUT]
    return {name: position for position, name in enumerate(names)}


def user_values(walks: Walks) -> list[Any]:
    """The values of the user's inputs that the walk is on."""
    from torch.export.graph_signature import InputKind

    specs = walks.program.graph_signature.input_specs
    return [value for value, spec in zip(walks.given, specs, strict=True) if spec.kind == InputKind.USER_INPUT]
