"""Changes the constants of a program: computes a node that depends on constants alone, and makes parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from executorch.backends.transforms.utils import create_constant_placeholder, delete_constant_placeholder
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from fuseguard.engine.rounds import RepairFault

_CONSTANTS = (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR)


def fold(program: ExportedProgram, node: torch.fx.Node) -> None:
    """Make what reads ``node`` read a buffer with its result. ``node`` stays, without a reader.

    The result is computed by the program's own ops, so that no bit of it changes.
    Raises RepairFault where the result depends on an input, or on a constant without a value.
    """
    graph = program.graph
    if node.graph is not graph:
        raise RepairFault(f"{node.name} is in a control-flow body, which has no constants")
    value = _value(node, _stored(program))
    taken = {item.name for item in graph.nodes} | {str(spec.target) for spec in program.graph_signature.input_specs}
    name = f"{node.name}_folded"
    while name in taken:
        name += "_"
    with graph.inserting_before(next(iter(graph.nodes))):
        made = create_constant_placeholder(program, graph, name, InputKind.BUFFER, value, persistent_buffer=True)
    node.replace_all_uses_with(made)


def _value(node: torch.fx.Node, stored: Mapping[str, torch.Tensor]) -> torch.Tensor:
    known: dict[torch.fx.Node, Any] = {}
    pending = [node]
    while pending:
        current = pending[-1]
        missing = [item for item in current.all_input_nodes if item not in known]
        if current.op == "placeholder" and current.name in stored:
            known[current] = stored[current.name].detach()
        elif current.op != "call_function":
            raise RepairFault(f"{node.name} is not made of constants alone: {current.name} is none")
        elif missing:
            pending += missing
            continue
        else:
            args, kwargs = torch.fx.map_arg((current.args, current.kwargs), known.__getitem__)
            known[current] = current.target(*args, **kwargs)  # type: ignore[operator]
        pending.pop()
    result: torch.Tensor = known[node]
    return result.contiguous()


def _stored(program: ExportedProgram) -> dict[str, torch.Tensor]:
    """By placeholder, the tensors that no run of the program changes."""
    signature = program.graph_signature
    found = {}
    for spec in signature.input_specs:
        if spec.kind in _CONSTANTS and spec.target not in signature.buffers_to_mutate.values():
            value = program.state_dict.get(str(spec.target), program.constants.get(str(spec.target)))
            if isinstance(value, torch.Tensor):
                found[str(spec.arg.name)] = value
    return found


def make_parameter(program: ExportedProgram, node: torch.fx.Node) -> None:
    """Make a parameter of ``node``, a buffer that the program does not write to.

    Raises RepairFault if it is not one.
    """
    signature = program.graph_signature
    spec = next((spec for spec in signature.input_specs if spec.arg.name == node.name), None)
    value = _stored(program).get(node.name)
    if spec is None or spec.kind is not InputKind.BUFFER or value is None:
        raise RepairFault(f"{node.name} is not a buffer that keeps its values")
    target = str(spec.target)
    program.constants.pop(target, None)  # a buffer that is not persistent is kept there
    program.state_dict[target] = torch.nn.Parameter(value.detach(), requires_grad=False)
    spec.kind, spec.persistent = InputKind.PARAMETER, None


def erase_constants(program: ExportedProgram, nodes: Iterable[torch.fx.Node]) -> None:
    """Delete the constants among ``nodes``, which nothing reads, unless another placeholder shares their tensor."""
    targets = [spec.target for spec in program.graph_signature.input_specs]
    stored = {spec.arg.name: spec.target for spec in program.graph_signature.input_specs if spec.kind in _CONSTANTS}
    for node in dict.fromkeys(nodes):
        if node.name in stored and targets.count(stored[node.name]) == 1:
            delete_constant_placeholder(program, node)
