"""Runs a lowered program with every tensor of its delegates visible, and keeps what has codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import networkx as nx
import numpy as np
import torch
from torch.export import ExportedProgram

from fuseguard.executorch.delegates import EdgeInterpreter, observe_delegate
from fuseguard.executorch.interpreter import BodyInterpreter
from fuseguard.executorch.keeping import Kept
from fuseguard.executorch.lockstep.tosa_graph import CONSTANTS, read_tosa, with_outputs
from fuseguard.executorch.state import arguments, given_names, results

#: Where a tensor was seen, and its name there. ``""`` is the program around the delegates.
Place: TypeAlias = tuple[str, str]

#: What codes are stored in.
_CODES = frozenset(("INT8", "INT16", "UINT8"))
_TORCH_CODES = frozenset((torch.int8, torch.uint8, torch.int16))


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """An integer tensor that the lowered program computed. ``number`` counts them in the order of execution."""

    place: Place
    kept: Kept
    number: int

    @property
    def values(self) -> np.ndarray[Any, Any]:
        """The codes. Of a large tensor, they are read from a file each time."""
        return self.kept.load()

    def __str__(self) -> str:
        delegate, name = self.place
        return f"{name} of {delegate}" if delegate else name


@dataclass
class Observed:
    """What a run of a lowered program showed.

    ``tensors`` are those with codes, in the order of execution. ``flow`` has an edge from each tensor to those that are
    computed from it, by place. ``ops`` says by place which operator computed it. ``given`` are the places of what
    differs from run to run: inputs, and buffers that the program changes. ``outputs`` are the results of the
    program, as :func:`fuseguard.executorch.state.results` yields them.
    """

    tensors: list[Tensor] = field(default_factory=list)
    flow: nx.DiGraph[Place] = field(default_factory=nx.DiGraph)
    ops: dict[Place, str] = field(default_factory=dict)
    given: frozenset[Place] = frozenset()
    outputs: tuple[torch.Tensor, ...] = ()

    def _add(self, place: Place, op: str, sources: Sequence[Place], kept: Kept | None) -> None:
        self.ops[place] = op
        self.flow.add_node(place)
        self.flow.add_edges_from((source, place) for source in sources)
        if kept is not None:
            self.tensors.append(Tensor(place, kept, len(self.tensors)))


def observe(program: ExportedProgram, inputs: Sequence[Any]) -> Observed:
    """Runs a lowered edge program on ``inputs``. The bodies of control flow on the CPU are not looked into.

    Raises what :func:`fuseguard.executorch.delegates.run_edge_program` does.
    """
    interpreter = _Observer(program.graph_module)
    with torch.no_grad():
        outputs = interpreter.run(*arguments(program, inputs))
    interpreter.observed.outputs = results(program, outputs)
    interpreter.observed.given = frozenset(("", name) for name in given_names(program))
    return interpreter.observed


class _Observer(BodyInterpreter):
    def __init__(self, module: torch.fx.GraphModule) -> None:
        super().__init__(module)
        self.observed = Observed()
        self.running: torch.fx.Node | None = None
        self.delegates = 0

    def run_node(self, n: torch.fx.Node) -> Any:
        self.running = n
        result = super().run_node(n)
        # The tensors of a delegate have edges of their own.
        calls = "executorch_call_delegate" in str(n.target)
        sources = [] if calls else [("", item.name) for item in n.all_input_nodes]
        codes = isinstance(result, torch.Tensor) and result.dtype in _TORCH_CODES
        self.observed._add(("", n.name), str(n.target), sources, Kept.of(result.detach().numpy()) if codes else None)
        return result

    def of_body(self, module: torch.fx.GraphModule) -> BodyInterpreter:
        return EdgeInterpreter(module)

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if "executorch_call_delegate" not in str(target):
            return super().call_function(target, args, kwargs)
        node = self.running
        assert node is not None
        return self._delegate(node, args[0], args[1:])

    def _delegate(self, node: torch.fx.Node, lowered: Any, inputs: Sequence[torch.Tensor]) -> Any:
        graph = read_tosa(lowered.processed_bytes)
        name = f"delegate {self.delegates}"
        self.delegates += 1
        computed = {output for op in graph.ops if op.name not in CONSTANTS for output in op.outputs}
        coded = {output for output in computed if graph.tensors[output].dtype in _CODES}
        inner = coded.difference(graph.outputs)
        everything = (*graph.outputs, *(output for output in graph.tensors if output in inner))
        outputs, values = observe_delegate(lowered, inputs, with_outputs(lowered.processed_bytes, everything))
        codes = dict(zip(everything, values, strict=True))
        given = [item for item in node.args[1:] if isinstance(item, torch.fx.Node)]
        for source, argument in zip(given, graph.inputs, strict=True):
            self.observed._add((name, argument), "INPUT", [("", source.name)], None)
        for op in graph.ops:
            for output in op.outputs:
                shown = codes[output] if output in coded else None
                self.observed._add((name, output), op.name, [(name, item) for item in op.inputs], shown)
        # The parts of the call's result are getitems in the program around it.
        for user in node.users:
            if "getitem" in str(user.target):
                self.observed.flow.add_edge((name, graph.outputs[int(str(user.args[1]))]), ("", user.name))
        return outputs
