"""A program as the reduction edits it: one flat module, its inputs, and what may be cut out of it."""

from __future__ import annotations

import copy
import operator
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Graph, GraphModule, Node

from fuseguard.executorch.copying import copy_program

#: Suffix of the input that takes the place of a value which is cut off.
_CUT = "_value"


@dataclass(frozen=True, eq=False)
class Piece:
    """``module``: its placeholders are the inputs, its parameters and buffers are attributes. ``inputs``: one tensor
    for each placeholder. Both are never changed; every edit makes another piece.
    """

    module: GraphModule
    inputs: tuple[torch.Tensor, ...]

    @classmethod
    def of(cls, program: ExportedProgram, inputs: Sequence[Any]) -> Piece:
        """A whole program. ``inputs``: flat and in order. Inputs that are no tensors must not be read by the graph."""
        module = copy_program(program).module(check_guards=False)
        assert isinstance(module, GraphModule)
        placeholders = [node for node in module.graph.nodes if node.op == "placeholder"]
        given = {node.name: value for node, value in zip(placeholders, inputs, strict=True)}
        read = [node for node in placeholders if node.users or isinstance(given[node.name], torch.Tensor)]
        graph = Graph()
        made = {node: _renamed(graph.placeholder(node.name), node.name) for node in read}
        for node in module.graph.nodes:
            if node.op not in ("placeholder", "output"):
                made[node] = _copied(graph, node, made)
            elif node.op == "output":
                leaves = [item for item in torch.utils._pytree.tree_leaves(node.args) if isinstance(item, Node)]
                graph.output(tuple(made[item] for item in leaves))
        return cls(GraphModule(module, graph), tuple(given[node.name] for node in read))

    @property
    def units(self) -> tuple[str, ...]:
        """The names of what may be left out, in order: the ops, and the Qs that requantize a dequantized value."""
        return tuple(node.name for node in self.module.graph.nodes if is_unit(node))

    @property
    def ops(self) -> tuple[str, ...]:
        """The targets of the ops that compute (Q and DQ left out), in order."""
        nodes = (node for node in self.module.graph.nodes if is_unit(node) and not is_q(node))
        return tuple(str(node.target) for node in nodes)

    @property
    def outputs(self) -> tuple[Node, ...]:
        (output,) = (node for node in self.module.graph.nodes if node.op == "output")
        return tuple(output.args[0])

    def export(self) -> ExportedProgram:
        """The exported program, with Arm's annotation on the ops that have it here. Raises what torch.export does."""
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.export.export(self.module, self.inputs)
        _annotate(self.module, program.graph_module)
        return program

    def values(self) -> dict[str, Any]:
        """By the name of a node, what it yields on the inputs. Raises what an op does."""
        module = copy.deepcopy(self.module) if _writes(self.module) else self.module
        recorder = _Recorder(module)
        with torch.no_grad():
            recorder.run(*(value.clone() for value in self.inputs))
        return recorder.values

    def cut(self, units: Collection[str], values: Mapping[str, Any], outputs: Collection[str] | None = None) -> Piece:
        """The ``units`` alone, with their Q, DQ and constants.

        ``values``: what :meth:`values` yields, or other tensors by name; they are fed where a value is cut off.
        ``outputs``: names of kept nodes; None means every value that nothing kept reads, and the piece's own outputs.
        Raises ValueError if a value that is cut off is neither tensor nor number.
        """
        nodes = {node.name: node for node in self.module.graph.nodes}
        kept = _with_boundary({nodes[name] for name in units})
        graph = Graph()
        made: dict[Node, Any] = {}
        fed: list[torch.Tensor] = []
        for node in self.module.graph.nodes:
            if node not in kept:
                continue
            for value in node.all_input_nodes:
                if value not in made:
                    given = values[value.name]
                    made[value] = given
                    if isinstance(given, torch.Tensor):
                        own = value.op == "placeholder"
                        made[value] = graph.placeholder(value.name if own else value.name + _CUT)
                        fed.append(given)
                    elif not isinstance(given, int | float):
                        raise ValueError(f"{value.name} is cut off and is a {type(given).__name__}")
            made[node] = _copied(graph, node, made)
        before = set(self.outputs)
        leaving = [
            node
            for node in self.module.graph.nodes
            if node in kept
            and (
                node.name in outputs
                if outputs is not None
                else node in before or (_is_result(node, values) and not any(user in kept for user in node.users))
            )
        ]
        graph.output(tuple(made[node] for node in leaving))
        _placeholders_first(graph)
        return Piece(GraphModule(self.module, graph), tuple(fed))._without_dead_code()

    def with_outputs(self, names: Sequence[str]) -> Piece:
        """The same with fewer outputs, without what nothing reads any more."""
        module = copy.deepcopy(self.module)
        nodes = _keep_names(self.module, module)
        (output,) = (node for node in module.graph.nodes if node.op == "output")
        output.args = (tuple(nodes[name] for name in names),)
        return Piece(module, self.inputs)._without_dead_code()

    def bypassed(self, name: str, by: str) -> Piece:
        """The same with ``by`` read in the place of ``name``."""
        module = copy.deepcopy(self.module)
        nodes = _keep_names(self.module, module)
        nodes[name].replace_all_uses_with(nodes[by])
        return Piece(module, self.inputs)._without_dead_code()

    def _without_dead_code(self) -> Piece:
        graph = self.module.graph
        for node in reversed(list(graph.nodes)):
            if node.op != "output" and not node.users and not (node.op == "call_function" and _mutates(node)):
                if node.op == "placeholder":
                    continue
                graph.erase_node(node)
        placeholders = [node for node in graph.nodes if node.op == "placeholder"]
        kept = [bool(node.users) for node in placeholders]
        for node, is_kept in zip(placeholders, kept, strict=True):
            if not is_kept:
                graph.erase_node(node)
        inputs = tuple(value for value, is_kept in zip(self.inputs, kept, strict=True) if is_kept)
        return Piece(GraphModule(self.module, graph), inputs)


class _Recorder(torch.fx.Interpreter):
    def __init__(self, module: GraphModule) -> None:
        super().__init__(module)
        self.values: dict[str, Any] = {}

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        # A later op may write to it.
        self.values[n.name] = result.detach().clone() if isinstance(result, torch.Tensor) else result
        return result


def is_q(node: Node) -> bool:
    return "quantized_decomposed.quantize_per" in str(node.target)


def is_dq(node: Node) -> bool:
    return "quantized_decomposed.dequantize_per" in str(node.target)


def is_unit(node: Node) -> bool:
    """Whether a node may be left out by itself."""
    if node.op != "call_function" or node.target is operator.getitem or is_dq(node) or _constant(node):
        return False
    return not is_q(node) or (isinstance(node.args[0], Node) and is_dq(node.args[0]))


def _with_boundary(units: set[Node]) -> set[Node]:
    """The units with the Q, DQ and constants that feed them, their own Q, and the DQ after each."""
    kept = set(units)
    for node in units:
        results = [user for user in node.users if user.target is operator.getitem]
        for result in (node, *results):
            kept |= {result, *(user for user in result.users if is_q(user) and not is_unit(user))}
    pending = list(kept)
    while pending:
        node = pending.pop()
        for value in node.all_input_nodes:
            # Back from a DQ to its Q, and to whatever is constant.
            quantizer = is_dq(node) and is_q(value)
            if value not in kept and (is_dq(value) or quantizer or _constant(value)):
                kept.add(value)
                pending.append(value)
    for node in list(kept):
        if is_q(node) and any(value in kept and not _constant(value) for value in node.all_input_nodes[:1]):
            kept |= {user for user in node.users if is_dq(user)}
    return kept


def _is_result(node: Node, values: Mapping[str, Any]) -> bool:
    return node.op == "call_function" and isinstance(values.get(node.name), torch.Tensor) and not _mutates(node)


def _constant(node: Node) -> bool:
    """Whether a node depends on nothing but attributes and literals."""
    pending, seen = [node], set()
    while pending:
        item = pending.pop()
        if item.op == "placeholder":
            return False
        if item not in seen:
            seen.add(item)
            pending += item.all_input_nodes
    return True


def _mutates(node: Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _writes(module: GraphModule) -> bool:
    return any(_mutates(node) for node in module.graph.nodes)


def _copied(graph: Graph, node: Node, made: Mapping[Node, Any]) -> Node:
    return _renamed(graph.node_copy(node, made.__getitem__), node.name)


def _renamed(node: Node, name: str) -> Node:
    """torch.fx calls a copied node otherwise if its name is a Python builtin."""
    node.name = name
    return node


def _keep_names(old: GraphModule, new: GraphModule) -> dict[str, Node]:
    """The nodes of a copy by the names that they had."""
    pairs = zip(old.graph.nodes, new.graph.nodes, strict=True)
    return {before.name: _renamed(after, before.name) for before, after in pairs}


def _placeholders_first(graph: Graph) -> None:
    """A placeholder may not come after calls."""
    for node in reversed([node for node in graph.nodes if node.op == "placeholder"]):
        first = next(iter(graph.nodes))
        if first is not node:
            first.prepend(node)


ANNOTATION = "_arm_annotation_info"


def annotated(module: GraphModule) -> list[bool]:
    """By call in order, whether the backend takes the op for one that its quantizer has annotated."""
    calls = (node for node in module.graph.nodes if node.op == "call_function")
    return [bool((node.meta.get("custom") or {}).get(ANNOTATION)) for node in calls]


def _annotate(source: GraphModule, exported: GraphModule) -> None:
    """Puts Arm's annotation on the calls that have it in ``source``, if the export has kept the calls."""
    before = [node for node in source.graph.nodes if node.op == "call_function"]
    after = [node for node in exported.graph.nodes if node.op == "call_function"]
    if [str(node.target) for node in before] != [str(node.target) for node in after]:
        return  # the export's own copies of the annotation then have to do
    for old, new in zip(before, after, strict=True):
        custom = {key: value for key, value in (new.meta.get("custom") or {}).items() if key != ANNOTATION}
        mark = (old.meta.get("custom") or {}).get(ANNOTATION)
        new.meta["custom"] = {**custom, ANNOTATION: mark} if mark else custom
