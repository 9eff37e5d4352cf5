"""All graphs of a program as data for the page: every node, what it reads, its domain, and what was found there.

The data are lists of numbers and tables of texts, so that a program of 10,000 nodes stays below two megabytes. Where a
node is placed is decided in the browser, for the part of the graph that is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fuseguard.engine.finding import Effect, Finding
from fuseguard.ir.graph import Graph, Node
from fuseguard.ir.ops import Trait
from fuseguard.ir.view import View
from fuseguard.ir.walks import is_quantizer
from fuseguard.report.draw.shapes import shape_of
from fuseguard.report.placed_ops import PlacedOps
from fuseguard.report.quoting import name, quoted

#: Flags of a node. The page's script has the same numbers (graph_model.js).
REFUSED, CPU, DELEGATED, STORED = 1, 2, 4, 8
#: Nodes of all graphs of a page. A graph that no longer fits is left out, and the page says so.
MAX_NODES = 20_000
#: Offending nodes of one finding, and findings of one node, that are marked.
_MOST_MARKS = 100


@dataclass
class _Texts:
    """Texts, each once, by number."""

    numbers: dict[Any, int] = field(default_factory=dict)

    def of(self, text: Any) -> int:
        return self.numbers.setdefault(text, len(self.numbers))

    def all(self) -> list[Any]:
        return list(self.numbers)


@dataclass
class Graphs:
    """Collects the graphs of all programs of a page. ``left_out`` counts the nodes that did not fit."""

    graphs: list[dict[str, Any]] = field(default_factory=list)
    left_out: int = 0
    _nodes: int = 0
    _shapes: _Texts = field(default_factory=_Texts)
    _sources: _Texts = field(default_factory=_Texts)

    def add(
        self, file: int, program: Graph, findings: Iterable[tuple[int, Finding]], placed: PlacedOps | None = None
    ) -> None:
        """Add the graphs of one program. ``findings`` are those in it, with their numbers on the page; ``placed`` the
        ops that a placement leaves on the CPU: all others are then delegated.
        """
        by_graph: dict[str, list[tuple[int, Finding]]] = {}
        for number, finding in findings:
            by_graph.setdefault(finding.graph, []).append((number, finding))
        lowered = any(node.info.has(Trait.DELEGATE) for graph in program.walk() for node in graph)
        numbers: dict[int, int] = {}
        for graph in program.walk():
            if not len(graph):
                continue  # of several programs in one file, the root is empty
            if self._nodes + len(graph) > MAX_NODES:
                self.left_out += len(graph)
                continue
            self._nodes += len(graph)
            numbers[id(graph)] = len(self.graphs)
            self.graphs.append(self._graph(file, graph, by_graph.get(graph.name, []), lowered, placed))
        for graph in program.walk():
            if id(graph) in numbers:
                told = self.graphs[numbers[id(graph)]]
                told["bodies"] = _bodies(graph, numbers)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {
            "graphs": self.graphs,
            "shapes": self._shapes.all(),
            "sources": self._sources.all(),
            "left_out": self.left_out,
        }

    def _graph(
        self, file: int, graph: Graph, found: Sequence[tuple[int, Finding]], lowered: bool, placed: PlacedOps | None
    ) -> dict[str, Any]:
        view = View(graph)
        position = {node.name: number for number, node in enumerate(graph)}
        modules = _Texts()
        flags = _flags(view, [finding for _, finding in found], lowered)
        if placed is not None and not lowered:
            _place(graph, placed, flags)
        domains = domains_of(view)
        paths = modules_of(graph)
        return {
            "file": file,
            "name": quoted(graph.name),
            "delegate": name(graph.delegate.backend) if graph.delegate is not None else "",
            "nodes": [
                [
                    name(node.name),
                    self._shape(view, node),
                    modules.of(name(paths[node.name])),
                    [position[read.name] for read in graph.inputs(node)],
                    domains.get(node.name, -1),
                    self._sources.of(quoted(f"{node.source}  {node.source.code.strip()}")) if node.source else -1,
                    flags.get(node.name, 0),
                ]
                for node in graph
            ],
            "modules": modules.all(),
            "marks": _marks(position, found),
            "reasons": [
                [position[node], quoted(text)]
                for (body, node), text in (placed or {}).items()
                if body == graph.name and node in position
            ],
            "bodies": [],
        }

    def _shape(self, view: View, node: Node) -> int:
        shape = shape_of(view, node)
        return self._shapes.of((shape.label, shape.kind, name(node.target), *shape.lines))


def _bodies(graph: Graph, numbers: dict[int, int]) -> list[list[int]]:
    """For each node with graphs of its own, its position and the number of each: control-flow bodies and delegates."""
    inside = {called: numbers[id(body)] for called, body in graph.subgraphs.items() if id(body) in numbers}
    found = []
    for position, node in enumerate(graph):
        known = [inside[called] for called in node.subgraphs if called in inside]
        if known:
            found.append([position, *known])
    return found


def _marks(position: dict[str, int], found: Sequence[tuple[int, Finding]]) -> list[list[int]]:
    """For each offending node, its position and the numbers of its findings."""
    marks: dict[int, list[int]] = {}
    for number, finding in found:
        for node in dict.fromkeys(finding.nodes[:_MOST_MARKS]):
            if node in position:
                marks.setdefault(position[node], []).append(number)
    return [[node, *numbers[:_MOST_MARKS]] for node, numbers in marks.items()]


def _flags(view: View, findings: Sequence[Finding], lowered: bool) -> dict[str, int]:
    """What is to be marked at each node, as a sum of flags."""
    flags: dict[str, int] = {}
    clusters = {id(finding.cluster): finding.cluster for finding in findings if finding.refuse}  # findings share them
    for cluster in clusters.values():
        for node in cluster:
            flags[node] = REFUSED
    for finding in findings:
        if finding.effect is Effect.CPU_FALLBACK:
            for node in finding.nodes:
                flags[node] = flags.get(node, 0) | CPU
    within = view.graph.delegate is not None
    stored = _stored(view.graph)
    for item in view.graph:
        more = 0
        if within and item.op == "call":
            more = DELEGATED
        elif lowered and item.op == "call" and not item.info.has(Trait.GETITEM):
            more = DELEGATED if item.info.has(Trait.DELEGATE) else CPU
        if item.name in stored:
            more |= STORED
        if more:
            flags[item.name] = flags.get(item.name, 0) | more
    return flags


def _place(graph: Graph, placed: PlacedOps, flags: dict[str, int]) -> None:
    """Marks where a placement puts each op that computes."""
    for node in graph:
        if node.op != "call" or is_quantizer(node):
            continue
        on_cpu = (graph.name, node.name) in placed
        if on_cpu or not node.info.has(Trait.GETITEM):
            flags[node.name] = (flags.get(node.name, 0) & ~(CPU | DELEGATED)) | (CPU if on_cpu else DELEGATED)


def _stored(graph: Graph) -> set[str]:
    """Weights, biases and other constants with their dequantize ops, which a picture may leave out."""
    stored: set[str] = set()
    for node in graph:
        constant = node.op == "get_attr" or (node.op == "placeholder" and node.constant)
        read = graph.inputs(node)
        if constant or (node.kind in ("dequantize", "quantize") and read and all(one.name in stored for one in read)):
            stored.add(node.name)
    return stored


def domains_of(view: View) -> dict[str, int]:
    """The number of the domain of each node that is in one with a quantize op, in the program's order."""
    domains: dict[str, int] = {}
    number = 0
    for node in view.graph:
        domain = view.domain(node)
        if node.name not in domains and len(domain) > 1:
            quantized = any(view.is_q(view.graph[member]) for member in domain)
            domains.update(dict.fromkeys(domain, number if quantized else -1))
            number += quantized
    return domains


def modules_of(graph: Graph) -> dict[str, str]:
    """The module of each node; of one without, that of the op which makes its value, or else which reads it."""
    modules = {node.name: node.module for node in graph}
    for node in graph:
        if not modules[node.name] and node.op == "call" and node.kind != "dequantize":
            modules[node.name] = next((modules[read.name] for read in graph.inputs(node)), "")
    for node in reversed(graph.nodes.values()):
        constant = node.constant or node.op == "get_attr"
        if not modules[node.name] and (node.kind == "dequantize" or constant):
            modules[node.name] = next((modules[user.name] for user in graph.users(node)), "")
    return modules
