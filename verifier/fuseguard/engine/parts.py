"""The parts of what was read: the programs of a file, and the parts of a lowered program that rules check."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.ir.graph import Graph
from fuseguard.ir.ops import Trait
from fuseguard.ir.view import View


def programs(graph: Graph) -> tuple[Graph, ...]:
    """The programs of a file that holds several, else the only one."""
    if len(graph) == 0 and graph.subgraphs:
        return tuple(graph.subgraphs.values())
    return (graph,)


def delegates(program: Graph) -> Iterator[Graph]:
    """The sub-graphs that backends have compiled already, also in control-flow bodies; not those inside of another."""
    pending = [program]
    while pending:
        graph = pending.pop()
        if graph.delegate is not None:
            yield graph
        else:
            pending.extend(reversed(list(graph.subgraphs.values())))


def is_lowered(program: Graph) -> bool:
    """Whether a backend has been given parts of the program."""
    return any(node.info.has(Trait.DELEGATE) for graph in program.walk() for node in graph if node.op == "call")


def is_quantized(program: Graph) -> bool:
    """Whether any live op of the program, its bodies and its delegates is a quantize or dequantize op."""
    return any(len(view.ops) < len(view.calls()) for view in map(View, program.walk()))


def judged_graphs(graph: Graph) -> Iterator[Graph]:
    """What rules check. In a lowered program, this is what is inside Arm's delegates. The backend never sees the rest.
    It runs on the CPU as it is written, so a missing quantize op or annotation has no effect there.
    """
    for program in programs(graph):
        if not is_lowered(program):
            yield from program.walk()
            continue
        for part in delegates(program):
            if part.delegate is not None and part.delegate.arm:
                yield from part.walk()
