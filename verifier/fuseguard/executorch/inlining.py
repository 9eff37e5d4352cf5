"""Opens the bodies that wrappers run, in a live program, as :mod:`fuseguard.ir.inlined` does with its nodes."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

from fuseguard.ir.inlined import WRAPPERS, FreeNames, keeps_values
from fuseguard.readers.fx import target_name


def inline_wrapped(program: ExportedProgram) -> None:
    """Puts the ops of each body that a wrapper runs in place of the wrapper. ``program`` is changed.

    All nodes have the names that a reader gives them.
    """
    renamed = _inline(program.graph_module)
    for spec in program.graph_signature.output_specs:
        name = getattr(spec.arg, "name", None)
        if name in renamed:
            spec.arg.name = renamed[name]


def _inline(module: GraphModule) -> dict[str, str]:
    """Opens the bodies in ``module``, and in its bodies first. By result that is left out: the name of the value."""
    for inner in _bodies(module):
        _inline(inner)
    nodes = _nodes(module)
    names = FreeNames(node.name for node in nodes if not isinstance(_attribute(module, node), GraphModule))
    renamed: dict[str, str] = {}
    opened = False
    for node in nodes:
        body = _body_of(module, node)
        if body is not None:
            opened = True
            _open(node, body, names, renamed)
    if opened:
        _erase_unused_bodies(module)
        module.graph.lint()
        module.recompile()
    return renamed


def _open(wrapper: Node, body: GraphModule, names: FreeNames, renamed: dict[str, str]) -> None:
    operands = iter(wrapper.args[WRAPPERS[target_name(wrapper)] + 1 :])
    values: dict[Node, Any] = {}
    returned: Any = None
    for node in body.graph.nodes:
        if node.op == "placeholder":
            values[node] = next(operands)
        elif node.op == "output":
            returned = map_arg(node.args[0], values.__getitem__)
        elif _is_the_same(node):
            values[node] = values[node.args[0]]
        else:
            with wrapper.graph.inserting_before(wrapper):
                made = wrapper.graph.node_copy(node, values.__getitem__)
            made.name = names.take(node.name)
            values[node] = made
    for user in list(wrapper.users):
        if user.target is operator.getitem:
            _put_in_place(user, returned[user.args[1]], renamed)
    if isinstance(returned, Node):
        _put_in_place(wrapper, returned, renamed)
    elif not wrapper.users:
        wrapper.graph.erase_node(wrapper)


def _put_in_place(node: Node, value: Node, renamed: dict[str, str]) -> None:
    renamed[node.name] = value.name
    node.replace_all_uses_with(value)
    node.graph.erase_node(node)


def _body_of(module: GraphModule, node: Node) -> GraphModule | None:
    """The body that a node of ``module`` runs as it is; None where a reader does not open it."""
    target = target_name(node)
    if target not in WRAPPERS or not keeps_values(target, node.args) or node.kwargs:
        return None
    position = WRAPPERS[target]
    body = _attribute(module, node.args[position])
    if not isinstance(body, GraphModule) or any(item.op == "get_attr" for item in body.graph.nodes):
        return None
    taken = [item for item in body.graph.nodes if item.op == "placeholder"]
    return body if len(taken) == len(node.args) - position - 1 else None


def _is_the_same(node: Node) -> bool:
    """Whether a node is a cast to the dtype that its operand has."""
    if node.target is not torch.ops.aten.to.dtype or not isinstance(node.args[0], Node):
        return False
    forced = [(node.args[place] if len(node.args) > place else node.kwargs.get(name))
              for place, name in ((3, "copy"), (4, "memory_format"))]  # fmt: skip
    before, after = node.args[0].meta.get("val"), node.meta.get("val")
    if forced[0] is True or forced[1] is not None or before is None or after is None:
        return False
    return (before.dtype, before.shape) == (after.dtype, after.shape)


def _erase_unused_bodies(module: GraphModule) -> None:
    for node in _nodes(module):
        if not node.users and isinstance(_attribute(module, node), GraphModule):
            module.graph.erase_node(node)
    used = {str(node.target) for node in module.graph.nodes if node.op == "get_attr"}
    for name, body in list(module.named_children()):
        if isinstance(body, GraphModule) and name not in used:
            delattr(module, name)


def _attribute(module: GraphModule, node: object) -> object:
    return getattr(module, str(node.target), None) if isinstance(node, Node) and node.op == "get_attr" else None


def _bodies(module: GraphModule) -> list[GraphModule]:
    found = [_attribute(module, node) for node in module.graph.nodes]
    return [body for body in dict.fromkeys(found) if isinstance(body, GraphModule)]


def _nodes(module: GraphModule) -> list[Node]:
    return list(module.graph.nodes)
