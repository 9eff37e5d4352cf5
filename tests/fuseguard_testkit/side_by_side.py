"""Several torch-free graphs in one, for tests and measurements that need a large one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fuseguard.engine import Rule, load_registry
from fuseguard.ir import Graph
from fuseguard.ir.graph import Arg, Node, Ref


def side_by_side(graphs: Sequence[Graph]) -> Graph:
    """One graph with the nodes, outputs and bodies of all ``graphs``, which are of one dialect; names get a number."""
    nodes: list[Node] = []
    results: list[Arg] = []
    buffers: dict[str, tuple[float, ...]] = {}
    bodies: dict[str, Graph] = {}
    for number, graph in enumerate(graphs):
        suffix = f"__{number}"
        for node in graph:
            copy = _renamed(node, suffix)
            if node.op == "output":
                results += [item for arg in copy.args for item in (arg if isinstance(arg, tuple) else (arg,))]
            else:
                nodes.append(copy)
        buffers |= {name + suffix: values for name, values in graph.buffers.items()}
        bodies |= {name + suffix: body for name, body in graph.subgraphs.items()}
    nodes.append(replace(copy, args=(tuple(results),)))
    numbered = [replace(node, index=index) for index, node in enumerate(nodes)]
    return Graph(numbered, dialect=graphs[0].dialect, buffers=buffers, subgraphs=bodies)


def repeated(graphs: Sequence[Graph], copies: int) -> Graph:
    """One graph with so many copies of all ``graphs``."""
    return side_by_side([*graphs] * copies)


def bad_examples() -> list[Graph]:
    """Those of all rules, in the ATen dialect."""
    return [graph for rule in load_registry().rules for graph in _aten(rule)]


def first_bad_examples() -> list[Graph]:
    """One of each rule, in the ATen dialect."""
    return [graph for rule in load_registry().rules for graph in _aten(rule)[:1]]


def _aten(rule: Rule) -> list[Graph]:
    return [graph for example in rule.bad if (graph := example.graph()).dialect == "aten"]


def _renamed(node: Node, suffix: str) -> Node:
    def renamed(arg: Arg) -> Arg:
        if isinstance(arg, Ref):
            return replace(arg, name=arg.name + suffix)
        if isinstance(arg, str) and arg in node.subgraphs:
            return arg + suffix
        return tuple(renamed(item) for item in arg) if isinstance(arg, tuple) else arg

    return replace(
        node,
        name=node.name + suffix,
        args=tuple(renamed(arg) for arg in node.args),
        kwargs={key: renamed(arg) for key, arg in node.kwargs.items()},
        subgraphs=tuple(name + suffix for name in node.subgraphs),
    )
