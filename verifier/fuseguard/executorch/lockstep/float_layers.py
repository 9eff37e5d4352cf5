"""The layers of a float program, by the ops of the quantized program that was made from it.

Quantizing keeps the module and the source line of an op, and neither its name nor its place in the graph. Ops are
partners if both programs have the same number of ops of one kind at one module and line.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.export import ExportedProgram

from fuseguard.executorch.inputs import flat_inputs
from fuseguard.executorch.interpreter import BodyInterpreter
from fuseguard.executorch.keeping import Kept, KeptByName
from fuseguard.executorch.state import arguments, functional_program, result_names, results
from fuseguard.ir.graph import Graph, Node
from fuseguard.ir.ops import Trait
from fuseguard.readers.fx import read_program

#: What tells an op from others, the most telling first.
_KEYS: tuple[Callable[[Node], Hashable], ...] = (
    lambda node: (node.module, str(node.source), node.kind),
    lambda node: (node.module, node.kind),
    lambda node: (str(node.source), node.kind),
)


class FloatLayers:
    """A run of a float program on the inputs of the quantized one."""

    def __init__(self, quantized: Graph, program: ExportedProgram, inputs: Sequence[Any]) -> None:
        """Raises InputsError: ``inputs`` do not fit the float program. And what the program itself raises."""
        values = flat_inputs(program, inputs)
        program = functional_program(program, share_weights=True)
        graph = read_program(program)
        self.partners = {**_partners(quantized, graph), **dict(zip(_given(quantized), _given(graph), strict=False))}
        interpreter = _Recorder(program.graph_module, frozenset(self.partners.values()))
        with torch.no_grad():
            outputs = interpreter.run(*arguments(program, values))
        self._values = KeptByName(interpreter.values)
        #: The float program's own results: the node that each of them is, and its value.
        self.results = tuple(zip(result_names(program), results(program, outputs), strict=True))

    def of(self, op: str) -> tuple[str, torch.Tensor] | None:
        """The partner of an op or input of the quantized program, and its value; None if it has none."""
        partner = self.partners.get(op, "")
        return (partner, torch.from_numpy(self._values[partner])) if partner in self._values else None


class _Recorder(BodyInterpreter):
    def __init__(self, module: torch.fx.GraphModule, wanted: frozenset[str]) -> None:
        super().__init__(module)
        self.wanted = wanted
        self.values: dict[str, Kept] = {}

    def of_body(self, module: torch.fx.GraphModule) -> BodyInterpreter:
        return BodyInterpreter(module)

    def run_node(self, n: torch.fx.Node) -> Any:
        result = super().run_node(n)
        if n.name in self.wanted and isinstance(result, torch.Tensor):
            value = result.detach().float() if result.dtype == torch.bfloat16 else result.detach()  # unknown to numpy
            self.values[n.name] = Kept.of(value.numpy().copy())  # a later op may write to it
        return result


def _given(graph: Graph) -> list[str]:
    return [node.name for node in graph.nodes.values() if node.op == "placeholder" and not node.constant]


def _partners(quantized: Graph, graph: Graph) -> dict[str, str]:
    found: dict[str, str] = {}
    for key in _KEYS:
        theirs = _by_key(key, graph, set(found.values()))
        for place, nodes in _by_key(key, quantized, set(found)).items():
            if len(theirs.get(place, ())) == len(nodes):
                found |= {node.name: other.name for node, other in zip(nodes, theirs[place], strict=True)}
    taken = set(found.values())
    return {name: _with_batch_norm(graph, other, taken) for name, other in found.items()}


def _by_key(key: Callable[[Node], Hashable], graph: Graph, taken: set[str]) -> Mapping[Hashable, list[Node]]:
    places: dict[Hashable, list[Node]] = {}
    for node in _computing(graph):
        if node.name not in taken:
            places.setdefault(key(node), []).append(node)
    return places


def _computing(graph: Graph) -> Iterator[Node]:
    for node in graph.nodes.values():
        if node.op == "call" and not node.info.has(Trait.QUANTIZE | Trait.DEQUANTIZE):
            yield node


def _with_batch_norm(graph: Graph, name: str, taken: set[str]) -> str:
    """The batch norm that alone reads a node, if the quantized program has none: it is folded into its convolution."""
    users = [node for node in graph.nodes.values() if any(item.name == name for item in graph.inputs(node))]
    if len(users) == 1 and users[0].kind == "batch_norm" and users[0].name not in taken:
        return users[0].name
    return name
