"""Programs that take and yield codes, as ``QuantizeInputs`` and ``QuantizeOutputs`` of ExecuTorch make them.

The passes are for the edge program, and ``prove`` takes a program in the ATen dialect. What they call for each input
and output (``quantize_input``, ``quantize_output``) takes both, so they are called on the ATen program here, and the
result is exported again. Lowered, it is the same program.
"""

from __future__ import annotations

from typing import Any

import torch
from executorch.exir.passes.quantize_io_pass import quantize_input, quantize_output
from torch.export import ExportedProgram
from torch.export.graph_signature import TensorArgument

from fuseguard.executorch.inputs import call_arguments, input_metas

Q = torch.ops.quantized_decomposed.quantize_per_tensor.default
DQ = torch.ops.quantized_decomposed.dequantize_per_tensor.default


def with_codes(program: ExportedProgram, which: str) -> ExportedProgram:
    """The program with codes as ``inputs``, ``outputs`` or ``both``, or with ``uint8`` codes as inputs.

    ExecuTorch leaves inputs that other ops than one Q read, and outputs that no DQ yields, as they are.
    Raises ValueError if no input and no output can be changed.
    """
    changed, why = 0, "the program has no float inputs and outputs"
    calls = [(quantize_input, index) for index in _quantized(program)] if which != "outputs" else []
    if which in ("outputs", "both"):
        count = len(program.graph_signature.user_outputs)
        calls += [(quantize_output, index) for index in range(count)]
    for change, index in calls:
        try:
            if which == "uint8":
                quantize_input(program, index, _as_uint8(program, index))
            else:
                change(program, index)
            changed += 1
        except (ValueError, AttributeError) as error:
            why = str(error)
    if not changed:
        raise ValueError(f"quantize_io_pass: {why}")
    return _exported_again(program)


def _quantized(program: ExportedProgram) -> list[int]:
    """Numbers of the inputs that one Q reads."""
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    names = program.graph_signature.user_inputs
    return [number for number, name in enumerate(names) if [user.target for user in nodes[name].users] == [Q]]


def _as_uint8(program: ExportedProgram, index: int) -> dict[str, Any]:
    name = program.graph_signature.user_inputs[index]
    (quantizer,) = next(node for node in program.graph.nodes if node.name == name).users
    scale, zero_point, low = quantizer.args[1:4]
    return {"scale": scale, "zp": zero_point - low if low >= -128 else 128, "dtype": torch.uint8}


def _exported_again(program: ExportedProgram) -> ExportedProgram:
    """With the signature and the inputs that the graph now has."""
    (results,) = program.graph.output_node().args
    for spec, node in zip(program.graph_signature.output_specs, results, strict=True):
        if isinstance(spec.arg, TensorArgument):
            spec.arg = TensorArgument(name=node.name)
    program.graph.lint()
    program.graph_module.recompile()
    metas = input_metas(program)
    values = [
        torch.zeros(meta.shape, dtype=meta.dtype) if isinstance(meta, torch.Tensor) else meta for meta in metas.values()
    ]
    args, kwargs = call_arguments(program, values)
    return torch.export.export(program.module(check_guards=False), args, kwargs or None)


def as_taken(program: ExportedProgram, values: tuple[Any, ...]) -> tuple[Any, ...]:
    """``values`` with codes where the program takes codes."""
    metas = input_metas(program)
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    taken = []
    for value, (name, meta) in zip(values, metas.items(), strict=True):
        if isinstance(meta, torch.Tensor) and value.is_floating_point() and not meta.dtype.is_floating_point:
            value = _codes(value, nodes[name], meta.dtype)
        taken.append(value)
    return tuple(taken)


def _codes(value: torch.Tensor, placeholder: Any, dtype: torch.dtype) -> torch.Tensor:
    """By the DQ that reads them; where a program hands codes through and none reads them, the values rounded."""
    for user in placeholder.users:
        if user.target == DQ:
            return Q(value, *user.args[1:6])
    limits = torch.iinfo(dtype)
    return value.round().clamp(limits.min, limits.max).to(dtype)
