"""The surroundings of a finding as data for a drawing: as they are, and as the planned repair leaves them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from fuseguard.engine.finding import Finding
from fuseguard.ir.graph import Graph, Node
from fuseguard.ir.view import View
from fuseguard.report.draw.rewritten import Sketch, rewritten
from fuseguard.report.draw.shapes import Shape

#: Nodes of one drawing. What is farthest from the offending nodes is left out.
MAX_NODES = 40
#: Readers of one node that are drawn.
_MOST_READERS = 6


@dataclass(frozen=True, slots=True)
class Picture:
    """Nodes and edges of one drawing. Edges are pairs of positions in ``shapes``.

    ``offending`` and ``cluster`` are positions of nodes, ``offending_edges`` positions in ``edges``. ``added`` are the
    positions of nodes that the repair inserts or changes.
    """

    shapes: tuple[Shape, ...]
    edges: tuple[tuple[int, int], ...]
    offending: tuple[int, ...] = ()
    cluster: tuple[int, ...] = ()
    offending_edges: tuple[int, ...] = ()
    added: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Drawing:
    """A finding's surroundings. ``after`` is None where no repair is planned.

    ``left_out`` says how many nodes of the cluster are not drawn.
    """

    before: Picture
    after: Picture | None = None
    left_out: int = 0


@dataclass
class Drawings:
    """Draws findings of one program. Makes the view of each graph once."""

    program: Graph
    _views: dict[str, View] = field(default_factory=dict)
    _clusters: dict[int, frozenset[str]] = field(default_factory=dict)
    _wides: dict[str, dict[str, frozenset[str]]] = field(default_factory=dict)
    _graphs: dict[str, Graph] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for graph in self.program.walk():
            self._graphs.setdefault(graph.name, graph)

    def view(self, name: str) -> View | None:
        """The view of the graph called ``name``, "" for the top level; None if there is none."""
        if name not in self._views:
            if name not in self._graphs:
                return None
            self._views[name] = View(self._graphs[name])
        return self._views[name]

    def draw(self, finding: Finding) -> Drawing | None:
        """The drawing of a finding; None for one that is about no node of the program."""
        view = self.view(finding.graph)
        if view is None:
            return None
        seeds = [name for name in finding.nodes[:MAX_NODES] if name in view.graph]
        if not seeds:
            return None
        chosen = _surroundings(view, seeds, finding)
        sketch = Sketch.of(view, chosen, self._wide(finding.graph, view))
        cluster = self._cluster(finding, view)
        before = _picture(sketch, seeds, cluster if finding.refuse else frozenset())
        after = None
        if finding.rewrite is not None:
            after = _picture(rewritten(sketch, finding.rewrite), (), frozenset())
        return Drawing(before, after, len(cluster) - sum(name in cluster for name in chosen))

    def _wide(self, name: str, view: View) -> dict[str, frozenset[str]]:
        """The nodes of a graph that read many others, as an output may, and the names of these. Made once a graph."""
        if name not in self._wides:
            self._wides[name] = {
                node.name: frozenset(item.name for item in operands)
                for node in view.graph
                if len(operands := view.graph.inputs(node)) > MAX_NODES
            }
        return self._wides[name]

    def _cluster(self, finding: Finding, view: View) -> frozenset[str]:
        """The cluster of a finding as a set, made once for all findings that share it."""
        key = id(finding.cluster)
        if key not in self._clusters:
            self._clusters[key] = frozenset(name for name in finding.cluster if name in view.graph)
        return self._clusters[key]


def _surroundings(view: View, seeds: Sequence[str], finding: Finding) -> set[str]:
    """Names of the nodes to draw: the nearest to the offending ones first."""
    graph = view.graph
    touched = sorted(finding.rewrite.touched) if finding.rewrite is not None else ()
    chosen: dict[str, None] = {}
    for name in chain(seeds, touched, finding.cluster):
        if len(chosen) >= MAX_NODES:
            break
        if name in graph:
            chosen[name] = None
    for name in tuple(chosen):
        for neighbour in _around(view, graph[name]):
            if len(chosen) >= MAX_NODES:
                return set(chosen)
            chosen[neighbour.name] = None
    return set(chosen)


def _around(view: View, node: Node) -> Iterator[Node]:
    """What ``node`` reads and what reads it, through quantize and dequantize ops."""
    for direction in (_read_by, _readers_of):
        pending = list(direction(view, node))
        while pending:
            neighbour = pending.pop(0)
            yield neighbour
            if view.is_q(neighbour) or view.is_dq(neighbour):
                pending += direction(view, neighbour)


def _read_by(view: View, node: Node) -> list[Node]:
    """The operands of ``node``, without the tensors of scales and zero points."""
    operands = view.graph.inputs(node)
    return list(operands[:1] if view.is_q(node) or view.is_dq(node) else operands)


def _readers_of(view: View, node: Node) -> list[Node]:
    return list(view.users(node)[:_MOST_READERS])


def _picture(sketch: Sketch, seeds: Sequence[str], refused: frozenset[str]) -> Picture:
    names = list(sketch.shapes)
    position = {name: number for number, name in enumerate(names)}
    edges = [
        (position[producer], position[name])
        for name in names
        for producer in dict.fromkeys(sketch.inputs[name])
        if producer in position
    ]
    offending = [position[name] for name in dict.fromkeys(seeds) if name in position]
    passes_on = [shape.kind in ("q", "dq") for shape in sketch.shapes.values()]
    marked = _offending_edges(edges, set(offending), passes_on)
    return Picture(
        shapes=tuple(sketch.shapes.values()),
        edges=tuple(edges),
        offending=tuple(offending),
        cluster=tuple(position[name] for name in names if name in refused),
        offending_edges=tuple(marked),
        added=tuple(position[name] for name in sketch.added if name in position),
    )


def _offending_edges(edges: Sequence[tuple[int, int]], offending: set[int], passes_on: Sequence[bool]) -> Iterable[int]:
    """The edges from one offending node to another, through quantize and dequantize ops; else those into the first."""
    after: dict[int, list[int]] = {}
    for number, (start, _) in enumerate(edges):
        after.setdefault(start, []).append(number)
    marked: dict[int, None] = {}

    def follow(node: int, path: tuple[int, ...]) -> None:
        for number in after.get(node, ()):
            end = edges[number][1]
            if end in offending:
                marked.update(dict.fromkeys((*path, number)))
            elif passes_on[end] and len(path) < 4:
                follow(end, (*path, number))

    for node in offending:
        follow(node, ())
    if marked or not offending:
        return marked
    first = min(offending)
    return [number for number, (_, end) in enumerate(edges) if end == first][:1]
