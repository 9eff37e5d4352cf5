"""Makes planned rewrites in an exported program's graph: every edit by itself, metadata and names kept."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.utils import _pytree as pytree

from fuseguard.engine.rewrite import (
    VALUE,
    Call,
    Duplicate,
    Edit,
    Fold,
    Insert,
    MakeConstant,
    MakeParameter,
    Pair,
    Replace,
    ReturnInstead,
    Rewrite,
    SetArgument,
    SwapOperands,
    Unannotate,
)
from fuseguard.engine.rounds import RepairFault
from fuseguard.executorch.folding import erase_constants, fold, make_parameter
from fuseguard.executorch.materialize import DTYPES
from fuseguard.ir.graph import Arg, Ref
from fuseguard.ir.qparams import QParams

_ANNOTATION = "_arm_annotation_info"
#: What says where in the user's model a node comes from; Arm's annotation lies in ``custom``.
_KEPT = ("stack_trace", "nn_module_stack", "torch_fn", "custom", "source_fn_stack", "from_node", "seq_nr")


def apply_rewrites(program: ExportedProgram, rewrites: Iterable[Rewrite], graph: str = "") -> None:
    """Make the edits of ``rewrites`` in ``program``, which is changed. Raises RepairFault.

    ``graph`` is the path of the control-flow body that the rewrites are about, "" for the program's own graph.
    """
    module = program.graph_module.get_submodule(graph)
    assert isinstance(module, torch.fx.GraphModule)
    nodes = {node.name: node for node in module.graph.nodes}
    replaced: list[torch.fx.Node] = []
    folded: list[torch.fx.Node] = []
    for rewrite in rewrites:
        for edit in rewrite.edits:
            (folded if isinstance(edit, Fold) else replaced).extend(_apply(program, nodes, edit))
    # Only now, because an edit may name a node that an earlier edit has left without a reader.
    _erase_unread(replaced)
    erase_constants(program, _erase_unread(folded))
    module.graph.lint()
    module.recompile()


def _apply(program: ExportedProgram, nodes: dict[str, torch.fx.Node], edit: Edit) -> list[torch.fx.Node]:
    """Make ``edit``. Returns the nodes that may be without a reader after it."""
    if isinstance(edit, Insert):
        _insert(program, _node(nodes, edit.value), [_node(nodes, name) for name in edit.users], edit.steps)
    elif isinstance(edit, SetArgument):
        return _set_argument(nodes, edit)
    elif isinstance(edit, SwapOperands):
        node = _node(nodes, edit.node)
        node.args = (node.args[1], node.args[0], *node.args[2:])
    elif isinstance(edit, Replace):
        _replace(program, _node(nodes, edit.node), _node(nodes, edit.source), edit.steps)
        return [_node(nodes, edit.node)]
    elif isinstance(edit, Duplicate):
        _duplicate([_node(nodes, name) for name in edit.nodes], [_node(nodes, name) for name in edit.users])
    elif isinstance(edit, MakeConstant):
        _make_constant(program, _node(nodes, edit.node), edit)
        return [_node(nodes, edit.node)]
    elif isinstance(edit, MakeParameter):
        make_parameter(program, _node(nodes, edit.node))
    elif isinstance(edit, ReturnInstead):
        _return_instead(program, _node(nodes, edit.node), _node(nodes, edit.value))
        return [_node(nodes, edit.node)]
    elif isinstance(edit, Fold):
        fold(program, _node(nodes, edit.node))
        return [_node(nodes, edit.node)]
    elif isinstance(edit, Unannotate):
        node = _node(nodes, edit.node)
        node.meta["custom"] = {key: value for key, value in node.meta.get("custom", {}).items() if key != _ANNOTATION}
    return []


def _node(nodes: Mapping[str, torch.fx.Node], name: str) -> torch.fx.Node:
    if name not in nodes:
        raise RepairFault(f"the program has no node {name!r}")
    return nodes[name]


def _insert(
    program: ExportedProgram, value: torch.fx.Node, users: list[torch.fx.Node], steps: tuple[Pair | Call, ...]
) -> None:
    last = _chain(value, value, steps)
    for user in users:
        user.replace_input_with(value, last)
        if user.op == "output":
            _keep_output_name(program, value, last)


def _chain(value: torch.fx.Node, origin: torch.fx.Node, steps: tuple[Pair | Call, ...]) -> torch.fx.Node:
    """``steps`` after ``value``, with the metadata of ``origin``; the last node of them."""
    last = value
    for step in steps:
        if isinstance(step, Pair):
            last = _pair(last, origin, step.qparams)
        else:
            nodes = {node.name: node for node in value.graph.nodes}
            further = [last if arg == VALUE else _operand(nodes, arg) for arg in step.args]
            call = _call_after(last, origin, _resolve(step.target), (last, *further))
            mark = {_ANNOTATION: {"quantized": True}} if step.annotated else {}
            before = {key: kept for key, kept in origin.meta.get("custom", {}).items() if key != _ANNOTATION}
            call.meta["custom"] = {**before, **mark}
            last = call
    return last


def _replace(
    program: ExportedProgram, node: torch.fx.Node, source: torch.fx.Node, steps: tuple[Pair | Call, ...]
) -> None:
    origin = next(iter(node.all_input_nodes)) if node.target is operator.getitem else node
    _put_in_place(program, node, _chain(_copy_of(source, {}), origin, steps))


def _make_constant(program: ExportedProgram, node: torch.fx.Node, edit: MakeConstant) -> None:
    with node.graph.inserting_after(node):
        made = node.graph.call_function(
            _resolve(edit.target), tuple(map(_argument, edit.args)), {"dtype": getattr(torch, edit.dtype)}
        )
    made.meta = {key: node.meta[key] for key in (*_KEPT, "val") if key in node.meta}
    _put_in_place(program, node, made)


def _put_in_place(program: ExportedProgram, node: torch.fx.Node, made: torch.fx.Node) -> None:
    """What read ``node`` reads ``made``."""
    readers = list(node.users)
    node.replace_all_uses_with(made)
    if any(reader.op == "output" for reader in readers):
        _keep_output_name(program, node, made)


def _return_instead(program: ExportedProgram, node: torch.fx.Node, value: torch.fx.Node) -> None:
    for output in [user for user in node.users if user.op == "output"]:
        output.replace_input_with(node, value)
    if node.graph is program.graph:
        for spec in program.graph_signature.output_specs:
            if _name(spec) == node.name and spec.kind == OutputKind.USER_OUTPUT:
                spec.arg.name = value.name


def _duplicate(nodes: list[torch.fx.Node], users: list[torch.fx.Node]) -> None:
    made: dict[torch.fx.Node, torch.fx.Node] = {}
    for node in nodes:
        for item in node.all_input_nodes:
            if "dequantize_per" in str(item.target):
                made[item] = _copy_of(item, {})
        made[node] = _copy_of(node, made)
    for user in users:
        user.replace_input_with(nodes[-1], made[nodes[-1]])


def _copy_of(node: torch.fx.Node, made: Mapping[torch.fx.Node, torch.fx.Node]) -> torch.fx.Node:
    """A copy right after ``node``, metadata included, that reads what was ``made`` of its inputs instead of them."""
    with node.graph.inserting_after(node):
        return node.graph.node_copy(node, lambda item: made.get(item, item))


def _erase_unread(nodes: Iterable[torch.fx.Node]) -> list[torch.fx.Node]:
    """Erase those of ``nodes`` that nothing reads, and what only they read. Returns the unread placeholders."""
    left = []
    pending = list(nodes)
    while pending:
        node = pending.pop()
        if node.users or node._erased:
            continue
        if node.op == "placeholder":
            left.append(node)
        elif node.op == "call_function" and not node.is_impure():
            pending += node.all_input_nodes
            node.graph.erase_node(node)
    return left


def _pair(last: torch.fx.Node, origin: torch.fx.Node, qparams: QParams) -> torch.fx.Node:
    ops = torch.ops.quantized_decomposed
    numbers = (qparams.scale, qparams.zero_point, qparams.qmin, qparams.qmax, getattr(torch, qparams.dtype))
    q = _call_after(last, origin, ops.quantize_per_tensor.default, (last, *numbers))
    return _call_after(q, origin, ops.dequantize_per_tensor.default, (q, *numbers))


def _call_after(last: torch.fx.Node, origin: torch.fx.Node, target: Any, args: tuple[Any, ...]) -> torch.fx.Node:
    # Other operands may be made after ``last``.
    operands = [last, *(arg for arg in args if isinstance(arg, torch.fx.Node))]
    with last.graph.inserting_after(max(operands)):
        node = last.graph.call_function(target, args)
    node.meta = {key: origin.meta[key] for key in _KEPT if key in origin.meta}
    if origin.op != "call_function":
        node.meta.pop("custom", None)
    node.meta["val"] = _fake_result(target, args)
    return node


def _fake_result(target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None = None) -> Any:
    """The op applied to fake tensors, which have a shape and a dtype, and no memory."""
    values: Any = torch.fx.node.map_arg(args, lambda node: node.meta["val"])
    mode = next((value.fake_mode for value in pytree.tree_leaves(values) if hasattr(value, "fake_mode")), None)
    if mode is None:
        raise RepairFault(f"{args[0]} has no fake tensor to derive {target}'s result from")
    with mode:
        return target(*values, **(kwargs or {}))


def _keep_output_name(program: ExportedProgram, old: torch.fx.Node, new: torch.fx.Node) -> None:
    """The program's outputs are known by their nodes' names: the new node takes the old one's."""
    if old.graph is not program.graph:
        return  # the outputs of a control-flow body are known by their order
    inputs = {_name(spec) for spec in program.graph_signature.input_specs if spec.kind == InputKind.USER_INPUT}
    if old.name in inputs:
        for spec in program.graph_signature.output_specs:
            if _name(spec) == old.name:
                spec.arg.name = new.name
        return  # an input that is an output too keeps its name as an input
    name = old.name
    old._rename(f"{name}_unrepaired")
    new.name = name  # _rename would make another name of it, since this one was used before


def _name(spec: Any) -> str:
    return str(getattr(spec.arg, "name", ""))


def _set_argument(nodes: dict[str, torch.fx.Node], edit: SetArgument) -> list[torch.fx.Node]:
    node = _node(nodes, edit.node)
    value = _node(nodes, edit.value.name) if isinstance(edit.value, Ref) else _argument(edit.value)
    before = node.all_input_nodes
    if edit.name in node.kwargs or len(node.args) < edit.position:
        node.kwargs = {**node.kwargs, edit.name: value}
    else:
        node.args = (*node.args[: edit.position], value, *node.args[edit.position + 1 :])
    _derive_again(node)
    return before


def _derive_again(node: torch.fx.Node) -> None:
    """The fake results of ``node`` and of what follows from it, as far as their shapes change."""
    pending = [node]
    while pending:
        item = pending.pop(0)
        if item.op != "call_function" or not isinstance(item.meta.get("val"), torch.Tensor):
            continue
        value = _fake_result(item.target, tuple(item.args), item.kwargs)
        if value.shape != item.meta["val"].shape:
            item.meta["val"] = value
            pending += item.users


def _argument(arg: Arg) -> Any:
    if isinstance(arg, tuple):
        return [_argument(part) for part in arg]
    return DTYPES.get(arg, arg) if isinstance(arg, str) else arg


def _operand(nodes: Mapping[str, torch.fx.Node], arg: Arg) -> Any:
    return _node(nodes, arg.name) if isinstance(arg, Ref) else _argument(arg)


def _resolve(target: str) -> Any:
    found: Any = torch.ops
    for part in target.split("."):
        found = getattr(found, part)
    return found
