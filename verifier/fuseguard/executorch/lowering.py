"""Lowers a program with the installed backend and says what ended up where."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from executorch.backends.arm.tosa.compile_spec import TosaCompileSpec
from executorch.backends.arm.tosa.partitioner import TOSAPartitioner
from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node
from torch.fx.passes.operator_support import OperatorSupportBase

from fuseguard.executorch.partition import show_programs
from fuseguard.readers.fx import target_name
from fuseguard.target import Target, TargetError


@dataclass(frozen=True)
class Lowered:
    """A lowered program: ``delegated`` names the nodes inside delegates (Q and DQ left out), ``cpu_ops`` the
    targets outside of them, ``delegates`` counts the delegate calls. ``float_quantizers`` are the Q ops of floats,
    outside of delegates or first in one, ``on_cpu`` all ops outside; both by their names in the program that was
    lowered. ``compiled`` has, by its TOSA, what a further compiler made of each delegate; empty where that is the TOSA.
    """

    program: ExportedProgram
    delegated: tuple[str, ...]
    cpu_ops: tuple[str, ...]
    delegates: int
    float_quantizers: frozenset[str] = frozenset()
    on_cpu: frozenset[str] = frozenset()
    compiled: Mapping[bytes, bytes] = field(default_factory=dict, repr=False)


def unchecked_config() -> EdgeCompileConfig:
    """The configuration without the check of the edge IR."""
    return EdgeCompileConfig(_check_ir_validity=False)


def compile_spec_for(target: Target) -> Any:
    """The TosaCompileSpec of a target. Raises TargetError if the installed release does not know it."""
    try:
        return TosaCompileSpec(target.spec)
    except Exception as error:
        raise TargetError(
            f"the installed ExecuTorch {target.release} does not accept {target.spec!r}: {error}"
        ) from error


def lower_to_edge(
    program: ExportedProgram,
    compile_spec: Any,
    checks: Sequence[OperatorSupportBase] | None = None,
    compile_config: EdgeCompileConfig | None = None,
    partitioner_type: type[Any] = TOSAPartitioner,
) -> Lowered:
    """``to_edge_transform_and_lower`` with a TOSAPartitioner. Consumes ``program``; raises what the backend does.

    ``compile_config``: None means ExecuTorch's default. ``partitioner_type``: another one that takes ``compile_spec``.
    """
    partitioner = partitioner_type(compile_spec, additional_checks=list(checks) if checks else None)
    show_programs(partitioner, checks or (), program)
    names = {(node.name, *ancestry(node)): node.name for node in program.graph.nodes if node.op == "call_function"}
    with backend_quiet():
        manager = to_edge_transform_and_lower(program, partitioner=[partitioner], compile_config=compile_config)
    return describe(manager.exported_program(), names)


def describe(program: ExportedProgram, before: Mapping[tuple[str, ...], str] | None = None) -> Lowered:
    """What is inside and what outside of the delegates of a lowered program.

    ``before`` are the names of the ops before lowering, by name and ancestry.
    """
    delegated: list[str] = []
    cpu_ops: list[str] = []
    delegates = 0
    left = [node for node in program.graph.nodes if is_quantizer(node)]
    outside: list[Node] = []
    for module in _modules(program.graph_module):
        for node in module.graph.nodes:
            if node.op != "call_function":
                continue
            text = str(node.target)
            if "executorch_call_delegate" in text:
                delegates += 1
                lowered = getattr(module, str(node.args[0].target))
                inside = lowered.original_module.graph_module
                delegated += _computing(inside)
                left += [node for node in inside.graph.nodes if is_quantizer(node) and _is_given(node.args[0])]
            elif "getitem" not in text:
                cpu_ops.append(target_name(node))
                outside.append(node)
    quantizers, others = ({name_before(node, before or {}) for node in nodes} - {""} for nodes in (left, outside))
    return Lowered(program, tuple(delegated), tuple(cpu_ops), delegates, frozenset(quantizers), frozenset(others))


def ancestry(node: Node) -> tuple[str, ...]:
    """The names of the nodes that ``node`` was made from, the last one first: each pass adds one."""
    names = []
    sources = node.meta.get("from_node")
    while sources:
        names.append(str(sources[-1].name))
        sources = sources[-1].from_node
    return tuple(names)


def name_before(node: Node, names: Mapping[tuple[str, ...], str]) -> str:
    """The name that a node had before lowering; "" if it was made since."""
    names_so_far = ancestry(node)
    return next((names[tail] for start in range(len(names_so_far)) if (tail := names_so_far[start:]) in names), "")


def is_quantizer(node: Node) -> bool:
    """Whether a node quantizes per tensor with qparams that the graph states, in the ATen or in the edge dialect."""
    op = torch.ops.quantized_decomposed.quantize_per_tensor.default
    return op in (node.target, getattr(node.target, "_op", None))


def _is_given(value: Any) -> bool:
    return isinstance(value, Node) and value.op == "placeholder"


def _computing(module: GraphModule) -> Iterator[str]:
    for body in _modules(module):
        for node in body.graph.nodes:
            text = str(node.target)
            if node.op == "call_function" and "quantize_per" not in text and "getitem" not in text:
                yield node.name


def _modules(module: GraphModule) -> Iterator[GraphModule]:
    yield module
    for node in module.graph.nodes:
        if node.op == "get_attr":
            body = getattr(module, str(node.target), None)
            if isinstance(body, GraphModule):
                yield from _modules(body)


@contextlib.contextmanager
def backend_quiet() -> Iterator[None]:
    """The backend logs each rejected node and warns of its own deprecations; a proof is about the outcome."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
