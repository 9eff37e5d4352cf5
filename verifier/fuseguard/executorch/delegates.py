"""Runs a lowered edge program on the CPU: its own ops by torch, its delegates in the TOSA reference model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.utils import _pytree as pytree

from fuseguard.executorch.control_flow import is_control_flow, run_control_flow


class DelegateFault(RuntimeError):
    """A delegate could not be run, or yields another dtype than the program around it expects."""


class UndefinedResult(RuntimeError):
    """The TOSA reference model declares the result TOSA_UNPREDICTABLE."""


def run_edge_program(program: ExportedProgram, inputs: Sequence[Any]) -> tuple[torch.Tensor, ...]:
    """The user outputs of ``program`` on ``inputs``, in order.

    Raises DelegateFault, UndefinedResult, ImportError without tosa-tools, and what a CPU op raises.
    """
    user_inputs = iter(pytree.tree_leaves(tuple(inputs)))
    arguments: list[Any] = []
    for spec in program.graph_signature.input_specs:
        if spec.kind == InputKind.USER_INPUT:
            arguments.append(next(user_inputs))
        elif spec.target in program.state_dict:
            arguments.append(program.state_dict[spec.target])
        else:
            arguments.append(program.constants[spec.target])
    with torch.no_grad():
        outputs = pytree.tree_leaves(_Interpreter(program.graph_module).run(*arguments))
    kinds = [spec.kind for spec in program.graph_signature.output_specs]
    return tuple(
        output.detach()
        for output, kind in zip(outputs, kinds, strict=True)
        if kind == OutputKind.USER_OUTPUT and isinstance(output, torch.Tensor)
    )


class _Interpreter(torch.fx.Interpreter):
    """Interprets FX and hands each delegate call to the reference model, in control-flow bodies too."""

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if "executorch_call_delegate" in str(target):
            return _run_delegate(args[0], args[1:])
        if is_control_flow(target):
            return run_control_flow(target, args, lambda body, operands: _Interpreter(body).run(*operands))
        return super().call_function(target, args, kwargs)


def _run_delegate(lowered: Any, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    from fuseguard.executorch.reference_model import ReferenceModelAborted, run_reference_model

    arrays = [tensor.detach().contiguous().numpy() for tensor in inputs]
    try:
        results, status = run_reference_model(lowered.processed_bytes, arrays)
    except ReferenceModelAborted as error:
        raise DelegateFault(str(error)) from error
    if status == "TOSA_UNPREDICTABLE":
        raise UndefinedResult("the TOSA reference model reports TOSA_UNPREDICTABLE")
    if status != "TOSA_VALID":
        raise DelegateFault(f"the TOSA reference model refused the delegate: {status}")
    declared = _declared_outputs(lowered)
    outputs = []
    for array, meta in zip(results, declared, strict=True):
        tensor = torch.from_numpy(array)
        if tensor.dtype == torch.int8 and meta.dtype == torch.uint8:
            tensor = tensor.view(torch.uint8)  # TOSA has no uint8: RESCALE writes such codes into an int8 tensor
        if tensor.dtype != meta.dtype:
            raise DelegateFault(
                f"a delegate yields {tensor.dtype} where the program expects {meta.dtype}; on a device this is a "
                f"fault or garbage"
            )
        outputs.append(tensor.reshape(tuple(int(size) for size in meta.shape)))
    return outputs


def _declared_outputs(lowered: Any) -> list[torch.Tensor]:
    for node in lowered.original_module.graph.nodes:
        if node.op == "output":
            return [item.meta["val"] for item in pytree.tree_leaves(node.args[0]) if isinstance(item, torch.fx.Node)]
    return []
