"""Runs a lowered edge program on the CPU: its own ops by torch, its delegates in the TOSA reference model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

import torch
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from fuseguard.executorch.interpreter import BodyInterpreter
from fuseguard.executorch.keeping import Kept
from fuseguard.executorch.state import arguments, results
from fuseguard.readers.fx import fixed_size

#: Dim orders that the backend serializes as a tensor's shape (backends/arm/constants.py); others it takes for views.
_CHANNELS_LAST = ((0, 2, 3, 1), (0, 1, 3, 4, 2))


class DelegateFault(RuntimeError):
    """A delegate could not be run, or yields another dtype than the program around it expects."""


class NotJudged(RuntimeError):
    """The reference model cannot run a delegate, for a reason that says nothing about the lowering."""


class UndefinedResult(RuntimeError):
    """The TOSA reference model declares the result TOSA_UNPREDICTABLE."""


_Output = TypeVar("_Output")

#: Runs a delegate on tensors, as the program around it does, and yields its outputs.
DelegateRunner: TypeAlias = Callable[[Any, Sequence[torch.Tensor]], list[torch.Tensor]]


def run_edge_program(
    program: ExportedProgram, inputs: Sequence[Any], runner: DelegateRunner | None = None
) -> tuple[torch.Tensor, ...]:
    """What ``program`` yields on ``inputs``: its user outputs in order, then the new values of its state.

    ``runner`` runs the delegates; None means the TOSA reference model.

    The program stays as it is; :func:`fuseguard.executorch.state.carry_on` gives it what a run has left. No measured
    release lets a delegate own mutable state: its values are inputs and outputs of the delegates.

    Raises DelegateFault, UndefinedResult, NotJudged, ImportError without tosa-tools, and what a CPU op raises.
    """
    with torch.no_grad():
        outputs = EdgeInterpreter(program.graph_module, runner or _in_reference_model).run(*arguments(program, inputs))
    return results(program, outputs)


def _in_reference_model(lowered: Any, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    return run_delegate(lowered, inputs)[0]


class EdgeInterpreter(BodyInterpreter):
    """Hands each delegate call to ``runner``, in control-flow bodies too."""

    def __init__(self, module: torch.fx.GraphModule, runner: DelegateRunner = _in_reference_model) -> None:
        super().__init__(module)
        self.runner = runner

    def of_body(self, module: torch.fx.GraphModule) -> torch.fx.Interpreter:
        return EdgeInterpreter(module, self.runner)

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if "executorch_call_delegate" in str(target):
            return self.runner(args[0], args[1:])
        return super().call_function(target, args, kwargs)


def run_delegate(lowered: Any, inputs: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], list[Any]]:
    """The outputs of a delegate, and those of its TOSA graph as arrays.

    Raises as :func:`run_edge_program` does.
    """
    from fuseguard.executorch.reference_model import run_reference_model

    results = _valid(run_reference_model, lowered.processed_bytes, given_arrays(lowered, inputs))
    return as_declared(lowered, results), results


def observe_delegate(
    lowered: Any, inputs: Sequence[torch.Tensor], serialized: bytes
) -> tuple[list[torch.Tensor], list[Kept]]:
    """The outputs of a delegate, and all outputs of its TOSA graph.

    ``serialized``: the delegate's own graph with outputs of more tensors after its own.

    Raises as :func:`run_edge_program` does.
    """
    from fuseguard.executorch.reference_model import run_and_keep

    results = _valid(run_and_keep, serialized, given_arrays(lowered, inputs))
    own = results[: len(declared_outputs(lowered))]
    return as_declared(lowered, [item.load() for item in own]), results


def _valid(
    run: Callable[[bytes, Sequence[Any]], tuple[list[_Output], str]], serialized: bytes, arrays: Sequence[Any]
) -> list[_Output]:
    """What ``run`` yields for a graph. Raises UndefinedResult, DelegateFault."""
    from fuseguard.executorch.reference_model import ReferenceModelAborted

    try:
        results, status = run(serialized, arrays)
    except ReferenceModelAborted as error:
        raise DelegateFault(str(error)) from error
    if status == "TOSA_UNPREDICTABLE":
        raise UndefinedResult("the TOSA reference model reports TOSA_UNPREDICTABLE")
    if status != "TOSA_VALID":
        raise DelegateFault(f"the TOSA reference model refused the delegate: {status}")
    return results


def given_arrays(lowered: Any, inputs: Sequence[torch.Tensor]) -> list[Any]:
    """What a delegate is given, as it lies in memory. Raises NotJudged for sizes that no engine takes."""
    _check_sizes(lowered)
    return [
        in_memory_order(tensor, meta).detach().contiguous().numpy()
        for tensor, meta in zip(inputs, declared_inputs(lowered), strict=True)
    ]


def as_declared(lowered: Any, arrays: Sequence[Any]) -> list[torch.Tensor]:
    """What a delegate yields, as the program around it has it. Raises DelegateFault for another dtype."""
    outputs = []
    for array, meta in zip(arrays, declared_outputs(lowered), strict=True):
        tensor = torch.from_numpy(array)
        if tensor.dtype == torch.uint8 and meta.dtype == torch.bool:
            tensor = tensor.to(torch.bool)  # Vulkan has no bool
        if tensor.dtype == torch.int8 and meta.dtype == torch.uint8:
            tensor = tensor.view(torch.uint8)  # TOSA has no uint8: RESCALE writes such codes into an int8 tensor
        if tensor.dtype != meta.dtype:
            raise DelegateFault(
                f"a delegate yields {tensor.dtype} where the program expects {meta.dtype}; on a device this is a "
                f"fault or garbage"
            )
        outputs.append(from_memory_order(tensor, meta))
    return outputs


def _check_sizes(lowered: Any) -> None:
    """Raises NotJudged for a delegate with sizes that the reference model refuses whatever the delegate computes."""
    for node in lowered.original_module.graph.nodes:
        value = node.meta.get("val")
        if not isinstance(value, torch.Tensor):
            continue  # of several results, those that are read have nodes of their own
        if not all(isinstance(size, int) for size in value.shape):
            if all(fixed_size(size) is not None for size in value.shape):
                raise NotJudged(
                    f"{node.name} has the shape {tuple(value.shape)}, in which a size is fixed and was left "
                    f"symbolic. The backend lowers it as a dynamic one, and the TOSA reference model runs fixed "
                    f"shapes only. Export the program again without dynamic shapes and prove the result: "
                    f"torch.export.export(program.module(), inputs)."
                )
            raise NotJudged(
                f"{node.name} has the dynamic shape {tuple(value.shape)}. The backend lowers it, and the TOSA "
                f"reference model runs fixed shapes only."
            )
        if value.numel() == 0:
            raise NotJudged(
                f"{node.name} has the shape {tuple(value.shape)}, without any element. TOSA has no such tensors, "
                f"so the reference model cannot run the delegate. Prove the program on a batch of at least 1."
            )


def in_memory_order(tensor: torch.Tensor, meta: torch.Tensor) -> torch.Tensor:
    """``tensor`` with its dimensions as the delegate is given them: a delegate reads memory, and knows no strides."""
    order = meta.dim_order()
    return tensor.permute(order) if order in _CHANNELS_LAST else tensor


def from_memory_order(tensor: torch.Tensor, meta: torch.Tensor) -> torch.Tensor:
    shape = tuple(int(size) for size in meta.shape)
    order = meta.dim_order()
    if order not in _CHANNELS_LAST:
        return tensor.reshape(shape)
    return tensor.reshape([shape[dim] for dim in order]).permute([order.index(dim) for dim in range(len(order))])


def declared_inputs(lowered: Any) -> list[torch.Tensor]:
    """Those that the delegate is called with: its constants are parameters of the original module."""
    program = lowered.original_module
    names = set(program.graph_signature.user_inputs)
    return [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and node.name in names]


def declared_outputs(lowered: Any) -> list[torch.Tensor]:
    for node in lowered.original_module.graph.nodes:
        if node.op == "output":
            return [item.meta["val"] for item in pytree.tree_leaves(node.args[0]) if isinstance(item, torch.fx.Node)]
    return []
