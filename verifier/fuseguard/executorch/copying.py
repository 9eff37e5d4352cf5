"""Copies of exported programs that keep the names which the signature knows."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping

import torch
from torch.export import ExportedProgram

from fuseguard.executorch.noise import quiet_copies


def exported_program_of(value: object, what: str) -> ExportedProgram:
    """``value`` itself. Raises TypeError with what to pass instead if it is not an exported program.

    ``what``: the function that was called.
    """
    if isinstance(value, ExportedProgram):
        return value
    if isinstance(value, Mapping):
        text = f"a dict of methods: call {what} once for each of {', '.join(map(str, value))}"
    elif hasattr(value, "exported_program"):
        text = f"a lowered or edge program ({type(value).__name__}): pass the quantized program that it was made from"
    elif isinstance(value, str | os.PathLike):
        text = "a path: if you trust the file, pass what torch.export.load loads from it"
    elif isinstance(value, torch.nn.Module):
        text = "a module: quantize and export it first, and pass what torch.export.export returns"
    else:
        text = f"a {type(value).__name__}, and must be what torch.export.export returns"
    raise TypeError(f"{what}: the program is {text}")


def copy_program(program: ExportedProgram, *, share_weights: bool = False) -> ExportedProgram:
    """A copy with a graph of its own and tensors of its own.

    torch.fx gives a copied node whose name is a Python builtin (``input``, as nn.Sequential calls its own) another one,
    which the signature does not know; here every node keeps its name, in control-flow bodies too.

    ``share_weights`` keeps the tensors that running the program cannot change.
    """
    memo = {id(tensor): tensor for tensor in _constants(program)} if share_weights else {}
    for tensor in (*program.state_dict.values(), *program.constants.values()):
        if isinstance(tensor, torch.Tensor) and not tensor.is_leaf:  # a buffer written to with gradients on
            memo.setdefault(id(tensor), tensor.detach().clone())
    with quiet_copies():
        copied = copy.deepcopy(program, memo)
    modules = zip(program.graph_module.modules(), copied.graph_module.modules(), strict=True)
    for original, module in modules:
        if isinstance(original, torch.fx.GraphModule) and isinstance(module, torch.fx.GraphModule):
            _keep_names(original, module)
    return copied


def _constants(program: ExportedProgram) -> Iterator[object]:
    """The tensors that no run writes to: all of a program without state, else its parameters."""
    signature = program.graph_signature
    if not signature.buffers_to_mutate and not writes_in_place(program):
        yield from (*program.state_dict.values(), *program.constants.values())
        return
    yield from (program.state_dict[name] for name in signature.parameters)


def writes_in_place(program: ExportedProgram) -> bool:
    """Whether an op of the program writes to an argument, as before functionalization."""
    return any(map(_writes, program.graph_module.modules()))


def _writes(module: torch.nn.Module) -> bool:
    """Whether an op of the module writes to an argument, as before functionalization."""
    nodes = module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ()
    return any(isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable for node in nodes)


def _keep_names(original: torch.fx.GraphModule, copied: torch.fx.GraphModule) -> None:
    renamed = False
    for old, new in zip(original.graph.nodes, copied.graph.nodes, strict=True):
        if new.name != old.name:
            new.name = old.name
            renamed = True
    if renamed:
        copied.recompile()
