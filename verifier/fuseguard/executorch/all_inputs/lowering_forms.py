"""The forms (forms.py) of a lowered program's tensors, in its delegates and around them, and runs of parts of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.utils import _pytree as pytree

from fuseguard.executorch.all_inputs.forms import Array, Elements, Expressions, Leaves, Unsupported
from fuseguard.executorch.all_inputs.graph_rules import Form, GraphRules
from fuseguard.executorch.all_inputs.monotone import OnAllCodes
from fuseguard.executorch.all_inputs.tosa_file import TosaFile, decode, encode
from fuseguard.executorch.all_inputs.tosa_rules import TosaRules
from fuseguard.executorch.delegates import declared_inputs, declared_outputs, from_memory_order, in_memory_order
from fuseguard.executorch.lockstep.observing import Place
from fuseguard.executorch.reference_model import ReferenceModelAborted, run_reference_model


class Lowering:
    """A lowered edge program, with its delegates decoded once."""

    def __init__(self, program: ExportedProgram) -> None:
        self.program = program
        self.graph = program.graph_module.graph
        self.nodes: dict[str, torch.fx.Node] = {node.name: node for node in self.graph.nodes}
        self.calls = [node for node in self.graph.nodes if "executorch_call_delegate" in str(node.target)]
        self.number = {node.name: number for number, node in enumerate(self.calls)}
        self._files: dict[str, TosaFile] = {}
        #: The last part that was cut out of a delegate: it is run several times in a row.
        self._last: tuple[Any, bytes] = (None, b"")

    def call(self, delegate: str) -> torch.fx.Node:
        call: torch.fx.Node = self.calls[int(delegate.rpartition(" ")[2])]
        return call

    def module(self, delegate: str) -> Any:
        first = self.call(delegate).args[0]
        assert isinstance(first, torch.fx.Node)
        return getattr(self.program.graph_module, str(first.target))

    def file(self, delegate: str) -> TosaFile:
        if delegate not in self._files:
            self._files[delegate] = decode(bytes(self.module(delegate).processed_bytes))
        return self._files[delegate]

    def part(self, delegate: str, inputs: list[str], output: str) -> bytes:
        """A graph that computes ``output`` from ``inputs`` alone."""
        key = delegate, tuple(inputs), output
        if self._last[0] != key:
            self._last = key, encode(self.file(delegate).cut(inputs, (output,)).root)
        return self._last[1]

    @cached_property
    def constants(self) -> dict[str, Any]:
        """By placeholder: parameters, buffers and constants."""
        return constants_of(self.program)


def constants_of(program: ExportedProgram) -> dict[str, Any]:
    """By placeholder, what the program holds. Buffers that it changes are left out: each call finds other values."""
    changed = set(program.graph_signature.buffers_to_mutate.values())
    found = {}
    for spec in program.graph_signature.input_specs:
        if spec.kind == InputKind.USER_INPUT or spec.target in changed:
            continue
        found[spec.arg.name] = program.state_dict.get(spec.target, program.constants.get(spec.target))
    return found


class LoweringForms:
    """Forms of tensors of a lowering, with those of ``known`` places given.

    ``inputs``: by the placeholder of an input, its elements.
    """

    def __init__(
        self,
        lowering: Lowering,
        known: Mapping[Place, Elements],
        inputs: Callable[[torch.fx.Node], Elements],
        table: Expressions,
        leaves: Leaves,
        on_all_codes: OnAllCodes,
        foreign: frozenset[Place],
    ) -> None:
        """``foreign``: tensors that other cells end with, and which this one has no reason to read."""
        self.lowering = lowering
        self.foreign = foreign
        self.known = known
        self.inputs = inputs
        self.table = table
        self.leaves = leaves
        self.on_all_codes = on_all_codes
        self.rules = GraphRules(table, leaves, on_all_codes, wide=False)
        #: All delegates count their accumulators together.
        self.tosa: dict[str, TosaRules] = {}
        self.accumulators: list[Any] = []
        self._forms: dict[Place, Form] = {}

    def form(self, place: Place) -> Form:
        """Raises Unsupported."""
        if place in self.known:
            return self.known[place]
        if place in self.foreign:
            raise Unsupported("the lowering reads a value that is none of the operands")
        if place not in self._forms:
            self._forms[place] = self._node(place[1]) if not place[0] else self._tensor(*place)
        return self._forms[place]

    def _node(self, name: str) -> Form:
        node = self.lowering.nodes.get(name)
        if node is None:
            raise Unsupported("a value inside a control-flow body")
        if node.op == "placeholder":
            if name in self.lowering.constants:
                return self.rules.constant(self.lowering.constants[name])
            return self.inputs(node)
        if node.op != "call_function":
            raise Unsupported(f"a {node.op} node")
        first = node.args[0] if node.args else None
        if isinstance(first, torch.fx.Node) and first.name in self.lowering.number:
            return self._output(first, int(str(node.args[1])))
        return self.rules.apply(node, lambda item: self.form(("", item.name)))

    def _output(self, call: torch.fx.Node, number: int) -> Form:
        delegate = f"delegate {self.lowering.number[call.name]}"
        name = self.lowering.file(delegate).block["outputs"][number]
        meta = declared_outputs(self.lowering.module(delegate))[number]
        elements = self._elements((delegate, name))
        return _each(elements, lambda values: from_memory_order(torch.from_numpy(np.asarray(values, order="C")), meta))

    def _elements(self, place: Place) -> Elements:
        return self.rules.elements(self.form(place))

    def _tensor(self, delegate: str, name: str) -> Form:
        file = self.lowering.file(delegate)
        if delegate not in self.tosa:
            self.tosa[delegate] = TosaRules(file, self.table, self.leaves, self.on_all_codes)
            self.tosa[delegate].accumulators = self.accumulators
        if file.is_constant(name):
            return self.tosa[delegate].constant(name)
        if name in file.block["inputs"]:
            return self._given(delegate, file.block["inputs"].index(name))
        op = file.producers.get(name)
        if op is None:
            raise Unsupported("a tensor that nothing computes")
        return self.tosa[delegate].apply(op, lambda item: self._elements((delegate, item)), name)

    def _given(self, delegate: str, number: int) -> Form:
        call, module = self.lowering.call(delegate), self.lowering.module(delegate)
        source = call.args[1 + number]
        assert isinstance(source, torch.fx.Node)
        meta = declared_inputs(module)[number]
        elements = self._elements(("", source.name))
        return _each(elements, lambda values: in_memory_order(torch.from_numpy(np.asarray(values, order="C")), meta))


def _each(elements: Elements, move: Callable[[Array], torch.Tensor]) -> Elements:
    return Elements(move(elements.exprs).numpy(), [move(leaf).numpy() for leaf in elements.leaves])


class LoweringRun:
    """Values of tensors of a lowering on given values of others."""

    def __init__(self, lowering: Lowering, given: Mapping[Place, Array], inputs: Mapping[str, torch.Tensor]) -> None:
        """``given``: by place, codes in the lowering's own layout. ``inputs``: by placeholder."""
        self.lowering = lowering
        self.given = given
        self.inputs = inputs
        self._values: dict[Place, Any] = {}

    def value(self, place: Place) -> Any:
        """An array in a delegate, a tensor around it. Raises Unsupported where the reference model refuses."""
        if place not in self._values:
            if place in self.given:
                values = np.asarray(self.given[place], order="C")
                self._values[place] = values if place[0] else torch.from_numpy(values)
            else:
                self._values[place] = self._node(place[1]) if not place[0] else self._tensor(*place)
        return self._values[place]

    def _node(self, name: str) -> Any:
        node = self.lowering.nodes[name]
        if node.op == "placeholder":
            return self.lowering.constants.get(name, self.inputs.get(name))
        first = node.args[0] if node.args else None
        if isinstance(first, torch.fx.Node) and first.name in self.lowering.number:
            delegate, number = f"delegate {self.lowering.number[first.name]}", int(str(node.args[1]))
            meta = declared_outputs(self.lowering.module(delegate))[number]
            values = self.value((delegate, self.lowering.file(delegate).block["outputs"][number]))
            tensor = torch.from_numpy(np.asarray(values, order="C"))
            return from_memory_order(tensor.view(torch.uint8) if meta.dtype == torch.uint8 else tensor, meta)
        if node.op != "call_function":
            raise Unsupported(f"a {node.op} node")
        args, kwargs = pytree.tree_map_only(
            torch.fx.Node, lambda item: self.value(("", item.name)), (node.args, node.kwargs)
        )
        target: Any = node.target
        with torch.no_grad():
            return target(*args, **kwargs)

    def _tensor(self, delegate: str, name: str) -> Array:
        file = self.lowering.file(delegate)
        if name in file.block["inputs"]:
            number = file.block["inputs"].index(name)
            source = self.lowering.call(delegate).args[1 + number]
            assert isinstance(source, torch.fx.Node)
            meta = declared_inputs(self.lowering.module(delegate))[number]
            return in_memory_order(self.value(("", source.name)), meta).contiguous().numpy()
        here = {place[1] for place in self.given if place[0] == delegate}
        needed = _needed(file, name, here)
        graph = self.lowering.part(delegate, needed, name)
        arrays = [np.asarray(self.value((delegate, item)), order="C") for item in needed]
        try:
            (result,), status = run_reference_model(graph, arrays)
        except (ReferenceModelAborted, RuntimeError) as error:
            raise Unsupported(f"the reference model does not run it: {str(error)[:200]}") from error
        if status != "TOSA_VALID":
            raise Unsupported(f"the reference model says {status}")
        return np.asarray(result)


def _needed(file: TosaFile, name: str, given: set[str]) -> list[str]:
    """The given tensors and the graph's inputs that ``name`` is computed from."""
    found: dict[str, None] = {}
    seen: set[str] = set()
    pending = [name]
    while pending:
        current = pending.pop()
        if current in seen:
            continue
        seen.add(current)
        if current in given or current in file.block["inputs"]:
            found[current] = None
        elif not file.is_constant(current):
            pending += file.producers[current].get("inputs", [])
    return list(found)
