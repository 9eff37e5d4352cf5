"""Programs with state: what a run changes besides its outputs, and how the next run goes on from there."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind, TensorArgument
from torch.utils import _pytree as pytree

from fuseguard.executorch.copying import copy_program, writes_in_place
from fuseguard.executorch.inlining import inline_wrapped
from fuseguard.executorch.inputs import call_arguments
from fuseguard.readers.fx import read_program

#: How often a program with state is run in a row where nobody says: reading, writing and reading again.
CALLS_WITH_STATE = 3

#: Results that are the new value of a buffer or of an input.
MUTATIONS = (OutputKind.BUFFER_MUTATION, OutputKind.USER_INPUT_MUTATION)


@dataclass(frozen=True, slots=True)
class Slot:
    """A buffer or input that a run of the program changes.

    ``placeholder`` is its name in the graph. ``target`` is a buffer's name in the state dict, "" for an input, of
    which ``position`` counts the flat inputs before it.
    """

    placeholder: str
    target: str = ""
    position: int = -1

    def __str__(self) -> str:
        return f"buffer {self.target}" if self.target else f"input {self.placeholder}"


def slots(program: ExportedProgram) -> tuple[Slot, ...]:
    """What the program changes, in the order of its placeholders; the same for its functionalized form."""
    signature = program.graph_signature
    written = {spec.target for spec in signature.output_specs if spec.kind in MUTATIONS}
    if writes_in_place(program):
        written |= set(read_program(program).mutations)
    found = []
    position = 0
    for spec in signature.input_specs:
        name = spec.arg.name
        if spec.kind == InputKind.USER_INPUT:
            if name in written:
                found.append(Slot(name, position=position))
            position += 1
        elif name in written or spec.target in written:
            found.append(Slot(name, str(spec.target)))
    return tuple(found)


def given_names(program: ExportedProgram) -> frozenset[str]:
    """The placeholders of what may differ from run to run: inputs, and buffers that the program changes."""
    inputs = {spec.arg.name for spec in program.graph_signature.input_specs if spec.kind == InputKind.USER_INPUT}
    return frozenset(inputs | {slot.placeholder for slot in slots(program)})


def functional_program(program: ExportedProgram, *, share_weights: bool = False) -> ExportedProgram:
    """A copy whose writes to its state are results of the graph, and whose wrappers are open, as readers show it.

    Of a program without either, a plain copy. ``share_weights``: as for
    :func:`fuseguard.executorch.copying.copy_program`. Nodes keep their names, but for what is read of a tensor after a
    write to it.
    """
    copied = copy_program(program, share_weights=share_weights)
    inline_wrapped(copied)
    if not (writes_in_place(program) and read_program(program).functionalized):
        return copied
    _spell_out_conversions(copied.graph_module)
    with torch.no_grad():
        functionalized: ExportedProgram = copied.run_decompositions({})
    return functionalized


def _spell_out_conversions(module: torch.fx.GraphModule) -> None:
    """Puts an op for what ``copy_`` does to dtype and shape: torch drops a buffer's last copy, and that with it."""
    for node in module.graph.nodes:
        if node.op != "call_function" or node.target is not torch.ops.aten.copy_.default:
            continue
        written, value = (arg.meta.get("val") for arg in node.args[:2])
        with module.graph.inserting_before(node):
            if value.dtype != written.dtype:
                to = torch.ops.aten._to_copy.default
                node.update_arg(1, module.graph.call_function(to, node.args[1:2], {"dtype": written.dtype}))
            if value.shape != written.shape:
                expand = torch.ops.aten.expand.default
                node.update_arg(1, module.graph.call_function(expand, (node.args[1], list(written.shape))))
    module.recompile()


def arguments(program: ExportedProgram, inputs: Sequence[Any]) -> list[Any]:
    """What an interpreter of the program's graph is given, one value for each placeholder."""
    user_inputs = iter(pytree.tree_leaves(tuple(inputs)))
    values: list[Any] = []
    for spec in program.graph_signature.input_specs:
        if spec.kind == InputKind.USER_INPUT:
            values.append(next(user_inputs))
        else:
            values.append(program.state_dict.get(spec.target, program.constants.get(spec.target)))
    return values


def results(program: ExportedProgram, outputs: Any) -> tuple[torch.Tensor, ...]:
    """The tensors among the outputs of a functional program's graph: the user's, then new values for :func:`slots`."""
    flat = pytree.tree_leaves(outputs)
    specs = program.graph_signature.output_specs
    own = [value for value, spec in zip(flat, specs, strict=True) if spec.kind == OutputKind.USER_OUTPUT]
    new = {spec.target: value for value, spec in zip(flat, specs, strict=True) if spec.kind in MUTATIONS}
    written = [new[slot.target or slot.placeholder] for slot in slots(program)]
    return tuple(value.detach() for value in (*own, *written) if isinstance(value, torch.Tensor))


def result_names(program: ExportedProgram) -> list[str]:
    """The nodes of a functional program's graph whose values :func:`results` yields, in its order."""
    specs = program.graph_signature.output_specs
    new = {spec.target: spec.arg.name for spec in specs if spec.kind in MUTATIONS}
    outputs = [spec.arg for spec in specs if spec.kind == OutputKind.USER_OUTPUT]
    own = [arg.name for arg in outputs if isinstance(arg, TensorArgument)]
    return [*own, *(new[slot.target or slot.placeholder] for slot in slots(program))]


def run_module(program: ExportedProgram, inputs: Sequence[Any]) -> tuple[torch.Tensor, ...]:
    """What :func:`results` says of ``program`` in torch, in place or functional. It and ``inputs`` stay as they are."""
    module = copy_program(program).module()
    own_inputs = pytree.tree_map_only(torch.Tensor, lambda value: value.detach().clone(), tuple(inputs))
    args, kwargs = call_arguments(program, own_inputs)
    with torch.no_grad():
        returned = pytree.tree_leaves(module(*args, **kwargs))
    outputs = [value for value in returned if isinstance(value, torch.Tensor)]
    # An output may be the very tensor that a later call writes to.
    values = [value.detach().clone() for value in outputs]
    for slot in slots(program):
        if slot.target:
            values.append(functools.reduce(getattr, slot.target.split("."), module))  # type: ignore[arg-type]
        else:
            values.append(pytree.tree_leaves(own_inputs)[slot.position])
    return tuple(value.detach() for value in values)


def carry_on(
    programs: Sequence[ExportedProgram], inputs: Sequence[Any], values: Sequence[torch.Tensor]
) -> tuple[Any, ...]:
    """Gives ``programs`` the state that a run has left in ``values`` (:func:`results`); returns the next inputs.

    The programs are changed: they must be copies of the caller's own.
    """
    leaves, tree = pytree.tree_flatten(tuple(inputs))
    changed = slots(programs[0])
    for slot, value in zip(changed, values[len(values) - len(changed) :], strict=True):
        if not slot.target:
            leaves[slot.position] = value
            continue
        for program in programs:
            _holder(program, slot.target)[slot.target] = value.detach().clone()
    return tuple(pytree.tree_unflatten(leaves, tree))


class HeldState:
    """The buffers that a program changes, with the values that it holds."""

    def __init__(self, program: ExportedProgram) -> None:
        self._values = {
            slot.target: _holder(program, slot.target)[slot.target].detach().clone()
            for slot in slots(program)
            if slot.target
        }

    def give(self, program: ExportedProgram) -> None:
        """Makes ``program`` start from these values. It must be a copy of the caller's own."""
        for name, value in self._values.items():
            _holder(program, name)[name] = value.clone()


def _holder(program: ExportedProgram, target: str) -> dict[str, Any]:
    held: dict[str, Any] = program.state_dict if target in program.state_dict else program.constants
    return held
