"""Whether an announced fault can show: the offending cluster alone, fed with codes from all over its inputs' ranges.

A fault that the values of one program do not reach proves nothing about the rule; a cluster that is right on every
code does.
"""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Collection
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Graph, GraphModule, Node

from fuseguard.engine import Finding
from fuseguard.executorch import prove
from fuseguard.executorch.reducing.piece import is_dq, is_q
from fuseguard.target import Target

#: Small clusters are fed more than once, so that about this many codes are seen; each time is a lowering.
CODES, MOST_DRAWS = 512, 9


def shows_alone(program: ExportedProgram, finding: Finding, target: Target) -> bool:
    """Whether the cluster of ``finding``, lowered alone, is wrong on some input. Raises what torch.export raises."""
    if _is_table(program, finding.nodes[0]):
        return _shows_on_any_code(program, finding.nodes[0], target)
    module, entries = cut_out(program, finding.cluster)
    isolated = _export(module, tuple(_values(shape, qparams, 0) for shape, qparams in entries))
    elements = max((math.prod(shape) for shape, _ in entries), default=CODES)
    for number in range(max(3, min(MOST_DRAWS, CODES // max(1, elements)))):
        torch.manual_seed(number)
        if not prove(isolated, tuple(_values(shape, ends, number) for shape, ends in entries), target).ok:
            return True
    return False


def _is_table(program: ExportedProgram, name: str) -> bool:
    """Whether an op works code by code on one tensor, as a lookup table does."""
    (node,) = (node for node in program.graph.nodes if node.name == name)
    works_alone = len(node.all_input_nodes) == 1 and not _constant(node)
    return works_alone and torch.Tag.pointwise in getattr(node.target, "tags", ())


def _shows_on_any_code(program: ExportedProgram, name: str, target: Target) -> bool:
    """Feeds the op every code at once: what a table has between two entries shows at a few of 65536."""
    module, ((_, qparams),) = cut_out(program, (name,))
    scale, zero_point, low, high = qparams or (0.001, 0, -(2**15), 2**15 - 1)
    inputs = (((torch.arange(low, high + 1) - zero_point) * scale).reshape(1, -1),)
    return not prove(_export(module, inputs), inputs, target).ok


#: What a cut-off input looks like: its shape, and scale, zero point, qmin and qmax of the Q it goes into.
_Qparams = tuple[float, int, int, int]
_Entry = tuple[tuple[int, ...], _Qparams | None]


def _values(shape: tuple[int, ...], qparams: _Qparams | None, number: int) -> torch.Tensor:
    """First any code, then codes near zero, then the ends and what lies beyond them."""
    if qparams is None:
        return torch.randn(shape) * (3.0, 0.3, 30.0)[number % 3]
    scale, zero_point, low, high = qparams
    if number % 3 == 1:
        return torch.randint(-12, 13, shape) * scale
    codes = torch.randint(low, high + 1, shape) - zero_point
    return codes * scale * (1.0 if number % 3 == 0 else 3.0)


def cut_out(program: ExportedProgram, names: Collection[str]) -> tuple[GraphModule, list[_Entry]]:
    """The cluster of these names as a module of its own: Q and DQ in front, the cluster, its Q and DQ after it.

    Raises ValueError where the cluster names nodes that the live program does not have.
    """
    module = program.module(check_guards=False)
    assert isinstance(module, GraphModule)
    cluster = {node for node in module.graph.nodes if node.name in names}
    if {node.name for node in cluster} != set(names):
        raise ValueError(f"no nodes {sorted(set(names) - {node.name for node in cluster})}")
    kept = _with_boundary(cluster)
    graph = Graph()
    made: dict[Node, Node] = {}
    entries: list[_Entry] = []
    for node in module.graph.nodes:
        if node in kept:
            for value in node.all_input_nodes:
                if value not in made:
                    made[value] = graph.placeholder(f"cut_{len(entries)}")
                    entries.append(_entry(value, node))
            made[node] = graph.node_copy(node, made.__getitem__)
    leaving = [node for node in module.graph.nodes if node in kept and not any(user in kept for user in node.users)]
    graph.output(tuple(made[node] for node in leaving if node.op != "get_attr"))
    # A placeholder may not come after calls.
    _placeholders_first(graph)
    return GraphModule(module, graph), entries


def _export(module: GraphModule, inputs: tuple[torch.Tensor, ...]) -> ExportedProgram:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(module, inputs)


def _entry(value: Node, reader: Node) -> _Entry:
    shape = tuple(int(size) for size in value.meta["val"].shape)
    if not value.meta["val"].is_floating_point():
        raise ValueError(f"{value.name} is cut off and holds no floats")
    if "quantize_per_tensor" in str(reader.target) and not is_dq(reader):
        scale, zero_point, low, high = reader.args[1:5]
        return shape, (scale, zero_point, low, high)  # type: ignore[return-value]
    return shape, None


def _with_boundary(cluster: set[Node]) -> set[Node]:
    """The cluster with the Q and the constants that feed it, its own Q and the DQ after it."""
    kept = set(cluster)
    pending = list(cluster)
    while pending:
        node = pending.pop()
        for value in node.all_input_nodes:
            # Back from a DQ to its Q, and to whatever is constant.
            if value not in kept and (is_dq(value) or is_dq(node) or _constant(value)):
                kept.add(value)
                if not is_q(value):
                    pending.append(value)
    for node in list(cluster):
        for user in node.users:
            if user.target is operator.getitem:
                kept |= {user, *(q for q in user.users if is_q(q))}
            elif is_q(user):
                kept.add(user)
    for node in list(kept):
        if is_q(node) and any(value in kept for value in node.all_input_nodes):
            kept |= {user for user in node.users if is_dq(user)}
    return kept


def _constant(node: Node) -> bool:
    """Whether a node hangs on nothing but attributes and literals."""
    pending, seen = [node], set()
    while pending:
        item: Any = pending.pop()
        if item.op == "placeholder":
            return False
        if item not in seen:
            seen.add(item)
            pending += item.all_input_nodes
    return True


def _placeholders_first(graph: Graph) -> None:
    for node in reversed([node for node in graph.nodes if node.op == "placeholder"]):
        first = next(iter(graph.nodes))
        if first is not node:
            first.prepend(node)
