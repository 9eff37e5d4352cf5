"""Reads a live ``ExportedProgram`` or ``GraphModule``, ATen or edge dialect, without changing it."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import ExportGraphSignature, InputKind, OutputKind

from fuseguard.ir.delegate import ARM_BACKENDS, Delegate, decoded_specs
from fuseguard.ir.functional import functional
from fuseguard.ir.graph import Arg, Dialect, Graph, Node, Ref, StoredAs, TensorMeta, constants_to_read
from fuseguard.ir.inlined import inlined
from fuseguard.ir.layout import dim_order_of
from fuseguard.ir.ops import canonical_target
from fuseguard.readers.budget import Budget, OverBudget
from fuseguard.readers.flatbuffer import MalformedBuffer
from fuseguard.readers.stack_trace import parse_stack_trace
from fuseguard.readers.tosa import IDENTIFIER, read_tosa

_STORED_AS: Mapping[InputKind, StoredAs] = {
    InputKind.PARAMETER: "parameter", InputKind.BUFFER: "buffer", InputKind.CONSTANT_TENSOR: "tensor",
}  # fmt: skip
_parse_stack_trace = lru_cache(maxsize=8192)(parse_stack_trace)  # many nodes share one
_MUTATIONS = (OutputKind.BUFFER_MUTATION, OutputKind.USER_INPUT_MUTATION)
_LITERALS = frozenset((bool, int, float, str))
_ANNOTATION_KEY = "_arm_annotation_info"


def read_program(program: Any, values: Mapping[str, Any] | None = None) -> Graph:
    """The graph of a live program, control-flow bodies included; of an EdgeProgramManager those of all its methods.

    Per-channel scales and zero points, and small constants that are no weights, are read from the program's buffers, or
    from ``values`` (by their names in the state dict) for one whose own are fake; no other tensor is touched.
    Raises TypeError for anything that is neither an ExportedProgram, a GraphModule nor an EdgeProgramManager.
    """
    if isinstance(program, ExportedProgram):
        return _exported(program, values)
    if isinstance(program, torch.fx.GraphModule):
        return read_graph_module(program, {}, {})
    if hasattr(program, "exported_program") and hasattr(program, "methods"):
        return _managed(program, values)
    raise TypeError(
        f"cannot check {type(program).__name__!r}; pass "
        + (
            "its .exported_program()" if hasattr(program, "exported_program") else
            "an ExportedProgram (torch.export.export), a GraphModule or the path of a .pt2 file"
        )
    )  # fmt: skip


def _managed(manager: Any, values: Mapping[str, Any] | None) -> Graph:
    """The graph of the only method of an EdgeProgramManager; of several, an empty one with the methods' below it."""
    methods = sorted(manager.methods)
    if len(methods) == 1:
        return _exported(manager.exported_program(methods[0]), values)
    return Graph([], subgraphs={name: _exported(manager.exported_program(name), values, name) for name in methods})


def _exported(program: ExportedProgram, values: Mapping[str, Any] | None = None, name: str = "") -> Graph:
    tensors: dict[str, Any] = {}
    constants: dict[str, StoredAs] = {}
    for spec in program.graph_signature.input_specs:
        if spec.kind in _STORED_AS and spec.target is not None:
            constants[spec.arg.name] = _STORED_AS[spec.kind]
            own = program.state_dict.get(spec.target, program.constants.get(spec.target))
            value = (values or {}).get(spec.target, own)
            tensors[spec.arg.name] = value
    mutations = _mutations(program.graph_signature)
    return read_graph_module(program.graph_module, tensors, constants, name, mutations)


def _delegate(lowered: Any, path: str) -> Graph:
    """The sub-graph that a backend was given, as executorch's LoweredBackendModule keeps it."""
    backend = str(lowered.backend_id)
    specs = decoded_specs((str(spec.key), bytes(spec.value)) for spec in lowered.compile_specs)
    blob = bytes(lowered.processed_bytes)
    tosa, fault = None, ""
    if backend in ARM_BACKENDS and blob[4:8] == IDENTIFIER:
        try:
            tosa = read_tosa(blob, Budget())
        except (MalformedBuffer, OverBudget) as error:
            fault = f"its TOSA flatbuffer cannot be read: {error}"
    graph = _exported(lowered.original_module, name=path)
    graph.delegate = Delegate(backend, specs, tosa, fault)
    return graph


def _mutations(signature: ExportGraphSignature) -> dict[str, str]:
    """Placeholders of buffers and inputs that a functionalized program changes, and the nodes with their new values."""
    placeholders = {str(spec.target): spec.arg.name for spec in signature.input_specs if spec.target is not None}
    written = [(str(spec.target), spec.arg.name) for spec in signature.output_specs if spec.kind in _MUTATIONS]
    return {placeholders.get(target, target): value for target, value in written}


def read_graph_module(
    module: torch.fx.GraphModule,
    tensors: Mapping[str, Any],
    constants: Mapping[str, StoredAs],
    name: str = "",
    mutations: Mapping[str, str] | None = None,
) -> Graph:
    """One FX graph, without wrappers and in-place ops (:mod:`fuseguard.ir.inlined`, :mod:`fuseguard.ir.functional`).

    ``tensors`` holds placeholder values by name, ``constants`` what constant ones are stored as, ``mutations`` what the
    signature says is written to.
    """
    nodes: list[Node] = []
    subgraphs: dict[str, Graph] = {}
    bodies: dict[str, str] = {}  # get_attr node -> body name
    values = dict(tensors)
    dialect: Dialect = "aten"
    for fx_node in module.graph.nodes:
        if fx_node.op == "get_attr":
            value = _attribute(module, str(fx_node.target))
            if isinstance(value, torch.fx.GraphModule):
                body = str(fx_node.target)
                bodies[fx_node.name] = body
                path = f"{name}.{body}" if name else body
                subgraphs[body] = read_graph_module(value, {}, {}, path)
                continue
            if type(value).__name__ == "LoweredBackendModule":
                body = str(fx_node.target)
                bodies[fx_node.name] = body
                subgraphs[body] = _delegate(value, f"{name}.{body}" if name else body)
                continue
            values[fx_node.name] = value
        if _is_edge(fx_node.target):
            dialect = "edge"
        nodes.append(_node(fx_node, len(nodes), bodies, constants))
    nodes, subgraphs = inlined(nodes, subgraphs)
    # The results of a control-flow body are those of the op that runs it: no write adds one.
    made, written = (nodes, {}) if name else functional(nodes)
    return Graph(
        made,
        dialect=dialect,
        name=name,
        buffers=_buffers(nodes, values),
        subgraphs=subgraphs,
        mutations={**(mutations or {}), **written},
        functionalized=made is not nodes,
    )


def _node(fx_node: torch.fx.Node, index: int, bodies: Mapping[str, str], constants: Mapping[str, StoredAs]) -> Node:
    meta = fx_node.meta
    module, module_type = _innermost_module(meta.get("nn_module_stack"))
    used = tuple([bodies[arg.name] for arg in fx_node.all_input_nodes if arg.name in bodies]) if bodies else ()
    return Node(
        name=fx_node.name,
        op="call" if fx_node.op.startswith("call") else fx_node.op,  # type: ignore[arg-type]
        target=target_name(fx_node),
        args=tuple([_arg(item, bodies) for item in fx_node.args]),
        kwargs={key: _arg(item, bodies) for key, item in fx_node.kwargs.items()},
        outputs=() if fx_node.op == "output" else _metas(meta.get("val")),
        stack=_parse_stack_trace(meta.get("stack_trace") or ""),
        module=module,
        module_type=module_type,
        annotated=_annotated(meta),
        constant=fx_node.name in constants or fx_node.op == "get_attr",
        stored_as=constants.get(fx_node.name, ""),
        subgraphs=used,
        index=index,
    )


def _is_edge(target: Any) -> bool:
    return type(target).__name__ == "EdgeOpOverload"


def target_name(fx_node: torch.fx.Node) -> str:
    """The target of a node as graphs spell it: ``aten.relu.default`` in every dialect, ``operator.add``."""
    target: Any = fx_node.target
    if fx_node.op != "call_function":
        return f"{fx_node.op}.{target}" if fx_node.op.startswith("call") else ""
    return _function_name(target)


@lru_cache(maxsize=4096)
def _function_name(target: Any) -> str:
    if _is_edge(target):
        return canonical_target(str(target._op))
    if isinstance(target, torch._ops.HigherOrderOperator):
        return f"higher_order.{target!s}"
    if target is operator.getitem:
        return "operator.getitem"
    if isinstance(target, torch._ops.OpOverload):
        return canonical_target(str(target))
    return canonical_target(f"{getattr(target, '__module__', '')}.{getattr(target, '__name__', target)}")


def _arg(item: Any, bodies: Mapping[str, str]) -> Arg:
    if isinstance(item, torch.fx.Node):
        return bodies[item.name] if item.name in bodies else Ref(item.name)
    if item is None or type(item) in _LITERALS:
        return item  # type: ignore[no-any-return]
    if isinstance(item, list | tuple):
        return tuple(_arg(part, bodies) for part in item)
    if isinstance(item, dict):
        return tuple((str(key), _arg(part, bodies)) for key, part in item.items())
    if isinstance(item, torch.dtype):
        return dtype_name(item)
    if isinstance(item, int | float | str):  # of a subclass
        return item
    return str(item)


@lru_cache(maxsize=256)
def dtype_name(dtype: torch.dtype) -> str:
    """Torch's short name: ``int8``, ``float32``."""
    return str(dtype).removeprefix("torch.")


def _metas(value: Any) -> tuple[TensorMeta, ...]:
    if isinstance(value, torch.Tensor):
        strides = _sizes(value.stride()) if value.layout == torch.strided else None
        return (_meta(value.dtype, _sizes(value.shape), strides),)
    if isinstance(value, list | tuple):
        return tuple([meta for item in value for meta in _metas(item)])
    return ()


@lru_cache(maxsize=4096)
def _meta(dtype: torch.dtype, shape: tuple[int | None, ...], strides: tuple[int | None, ...] | None) -> TensorMeta:
    return TensorMeta(dtype_name(dtype), shape, dim_order_of(shape, strides) if strides is not None else None)


def _sizes(sizes: Iterable[Any]) -> tuple[int | None, ...]:
    return tuple([size if isinstance(size, int) else fixed_size(size) for size in sizes])


def fixed_size(size: Any) -> int | None:
    """A size as a number; None for one that is dynamic.

    torch.export leaves a symbolic size in some tensors although it has fixed it: its expression is a number.
    """
    if isinstance(size, int):
        return size
    expression = size.node.expr
    return int(expression) if expression.is_number else None


def _innermost_module(stack: Any) -> tuple[str, str]:
    if not stack:
        return "", ""
    path, kind = list(stack.values())[-1]
    name = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
    return str(path), name


def _annotated(meta: Mapping[str, Any]) -> bool:
    custom = meta.get("custom")  # anybody's: torch reads whatever JSON a file has here
    info = custom.get(_ANNOTATION_KEY) if isinstance(custom, Mapping) else None
    if isinstance(info, Mapping):
        return bool(info.get("quantized"))
    return bool(getattr(info, "quantized", False))


def _attribute(module: torch.nn.Module, path: str) -> Any:
    value: Any = module
    for part in path.split("."):
        value = getattr(value, part, None)
    return value


def _buffers(nodes: list[Node], values: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
    """Values of the constants that rules ask for, by the name of the node that yields them."""
    found: dict[str, tuple[float, ...]] = {}
    for name in constants_to_read(nodes):
        if isinstance(values.get(name), torch.Tensor):
            tensor = values[name].detach()
            if not isinstance(tensor, torch._subclasses.FakeTensor):
                found[name] = tuple(float(v) for v in tensor.reshape(-1).tolist())
    return found
