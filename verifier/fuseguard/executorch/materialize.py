"""Makes a live program of a small graph: rule examples and shrunk counterexamples run as they are written."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch.export import ExportedProgram

from fuseguard.ir.graph import Arg, Graph, Node, Ref, canonical_target
from fuseguard.ir.ops import Trait
from fuseguard.ir.qparams import INTEGER_RANGES
from fuseguard.ir.view import View

#: Dtypes by torch's short names.
DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in (
    torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64, torch.float16, torch.float32, torch.float64,
    torch.bool, torch.bfloat16,
)}  # fmt: skip

#: The values of an int64 input, which is an index or a class, and not quantized.
_INDICES = (0, 3)


def materialize(graph: Graph, seed: int = 0) -> tuple[ExportedProgram, tuple[torch.Tensor, ...]]:
    """An exported program with the graph's ops and qparams, random weights, and inputs that exceed its ranges.

    What the graph mutates is written to by ``copy_`` at the end, as in a functionalized program exported again.
    Operators must be ATen or quantized_decomposed overloads that torch knows; control-flow bodies are made with the
    op that calls them. Sizes of None are dynamic. Do not use it on graphs from files you do not trust: it calls the
    operators they name.

    Raises ValueError: an operator is unknown.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs: list[torch.Tensor] = []
    module = _module(graph, generator, inputs)
    exported = torch.export.export(module, tuple(inputs), dynamic_shapes=_dynamic_shapes(graph))
    _annotate(exported.graph_module, graph)
    return exported, tuple(inputs)


def _module(
    graph: Graph, generator: torch.Generator, inputs: list[torch.Tensor], *, single: bool = False
) -> torch.fx.GraphModule:
    """The graph as a module, its bodies as submodules. Values for its user inputs are appended to ``inputs``.

    ``single``: it yields its only output itself, as the condition of a loop has to, and not a list of it.
    """
    view = View(graph)
    conditions = {node.subgraphs[0] for node in graph if node.kind == "while_loop" and node.subgraphs}
    root = torch.nn.Module()
    fx_graph = torch.fx.Graph()
    made: dict[str, torch.fx.Node] = {}
    for name, body in graph.subgraphs.items():
        root.add_module(name, _module(body, generator, [], single=name in conditions))
        made[name] = fx_graph.get_attr(name)
    for node in graph:
        if node.op == "placeholder" and not node.constant:
            inputs.append(_input_values(view, node, generator))
            made[node.name] = fx_graph.placeholder(node.name)
        elif node.op == "placeholder":
            stored = _constant_values(graph, node, generator)
            if node.stored_as == "parameter":
                root.register_parameter(node.name, torch.nn.Parameter(stored, requires_grad=False))
            else:
                root.register_buffer(node.name, stored)
            made[node.name] = fx_graph.get_attr(node.name)
        elif node.op == "output":
            values = tuple(_value(node.args[0], made, node))[len(graph.mutations) :]
            for written, value in graph.mutations.items():
                fx_graph.call_function(torch.ops.aten.copy_.default, (made[written], made[value]))
            fx_graph.output(values[0] if single else values)
        else:
            args = tuple(_value(arg, made, node) for arg in node.args)
            kwargs = {key: _value(arg, made, node) for key, arg in node.kwargs.items()}
            op = _resolve(node.target)
            if node.info.has(Trait.CONSTANT) and node.meta is not None and _takes_dtype(op):
                kwargs.setdefault("dtype", DTYPES[node.meta.dtype])
            made[node.name] = fx_graph.call_function(op, args, kwargs)
    return torch.fx.GraphModule(root, fx_graph)


def _takes_dtype(op: Any) -> bool:
    return any(argument.name == "dtype" for argument in op._schema.arguments)


#: What a dynamic size is where values are made: neither 0 nor 1, of which export would make fixed ones.
_ANY_SIZE = 2


def _dynamic_shapes(graph: Graph) -> tuple[dict[int, Any], ...] | None:
    """For each input, which of its sizes are dynamic; None if none of any input is."""
    inputs = [node for node in graph if node.op == "placeholder" and not node.constant]
    shapes = [node.meta.shape if node.meta is not None else () for node in inputs]
    found = [{place: torch.export.Dim.DYNAMIC for place, size in enumerate(shape) if size is None} for shape in shapes]
    return tuple(found) if any(found) else None


def _resolve(target: str) -> Any:
    if target == "operator.getitem":
        return operator.getitem
    found: Any = torch.ops
    try:
        for part in target.split("."):
            found = getattr(found, part)
    except AttributeError:
        raise ValueError(f"torch knows no operator {target!r}") from None
    return found


def _value(arg: Arg, made: dict[str, torch.fx.Node], node: Node) -> Any:
    if isinstance(arg, Ref):
        return made[arg.name]
    if isinstance(arg, str) and arg in node.subgraphs:
        return made[arg]
    if isinstance(arg, tuple):
        return [_value(part, made, node) for part in arg]
    if isinstance(arg, str) and arg in DTYPES:
        return DTYPES[arg]
    return arg


def _input_values(view: View, node: Node, generator: torch.Generator) -> torch.Tensor:
    """Values over one and a half times the range of the Q after the input, so that every code occurs."""
    meta = node.meta
    shape = tuple(_ANY_SIZE if size is None else size for size in meta.shape) if meta else (1,)
    if meta is not None and not meta.is_float:
        low, high = _INDICES if meta.dtype == "int64" else INTEGER_RANGES.get(meta.dtype, (0, 1))
        return torch.randint(low, high + 1, shape, generator=generator, dtype=DTYPES[meta.dtype])
    low_value, high_value = -3.0, 3.0
    for q in view.out_q(node):
        qparams = view.qparams(q)
        if qparams is not None and qparams.known and not qparams.per_channel:
            low_value, high_value = qparams.low, qparams.high
    middle, half = (low_value + high_value) / 2, (high_value - low_value) / 2
    return middle + 1.5 * half * (2 * torch.rand(shape, generator=generator) - 1)


def _constant_values(graph: Graph, node: Node, generator: torch.Generator) -> torch.Tensor:
    shape = tuple(size or 1 for size in node.meta.shape) if node.meta else (1,)
    dtype = DTYPES[node.meta.dtype] if node.meta else torch.float32
    if node.name in graph.buffers:
        return torch.tensor(graph.buffers[node.name]).reshape(shape).to(dtype)
    if dtype in (torch.int8, torch.int16):
        return torch.randint(-127, 128, shape, generator=generator).to(dtype)
    if not dtype.is_floating_point:
        return torch.randint(-1000, 1000, shape, generator=generator).to(dtype)
    return torch.randn(shape, generator=generator).to(dtype)


def _annotate(module: torch.fx.GraphModule, graph: Graph) -> None:
    """Mark what Arm's quantizer would have marked; export keeps the order of calls but not their names."""
    write = torch.ops.aten.copy_.default  # that the graph has as a mutation
    calls = [node for node in module.graph.nodes if node.op == "call_function" and node.target is not write]
    wanted = [node for node in graph if node.op == "call"]
    if len(calls) != len(wanted):  # export drops dead code
        view = View(graph)
        wanted = [node for node in wanted if view.is_live(node)]
    for fx_node, node in zip(calls, wanted, strict=True):
        target: Any = fx_node.target
        higher = isinstance(target, torch._ops.HigherOrderOperator)
        found = f"higher_order.{target}" if higher else canonical_target(str(target))
        if found != node.target and node.target != "operator.getitem":
            raise ValueError(f"export has put {fx_node.target} where the graph has {node.name} ({node.target})")
        if node.annotated:
            fx_node.meta["custom"] = {**(fx_node.meta.get("custom") or {}), "_arm_annotation_info": {"quantized": True}}
        bodies = [arg for arg in fx_node.args if isinstance(arg, torch.fx.Node) and arg.op == "get_attr"]
        for body, name in zip(bodies, node.subgraphs, strict=False):
            _annotate(getattr(module, str(body.target)), graph.subgraphs[name])
