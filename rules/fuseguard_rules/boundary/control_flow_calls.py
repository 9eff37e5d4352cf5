"""What BO603 reads of a cond or while_loop: operands, entries and exits of the bodies, results. And its examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from fuseguard.ir import Arg, Graph, Node, QParams, Ref, Trait, View
from fuseguard.ir.builder import GraphBuilder, int8

FIRST, FINE, COARSE = int8(0.05), int8(0.02, 5), int8(0.11, -3)
_SHAPE = (2, 4, 4)


@dataclass(frozen=True, slots=True)
class Body:
    """A branch, a loop's condition or a loop's body: what it is given and what it ends with, in order."""

    view: View
    inputs: tuple[Node, ...]
    ends: tuple[Node | None, ...]

    @classmethod
    def of(cls, graph: Graph) -> Body:
        ends: Arg = next((node.args[0] for node in graph if node.op == "output" and node.args), ())
        values = tuple(graph.node_of(end) for end in ends) if isinstance(ends, tuple) else ()
        return cls(View(graph), tuple(node for node in graph if node.op == "placeholder"), values)


@dataclass(frozen=True, slots=True)
class Call:
    """A control-flow op: ``operands`` in order, ``bodies`` (of a loop the condition, then the body), ``results`` by
    number (a result that nothing reads is missing).
    """

    node: Node
    view: View
    operands: tuple[Node, ...]
    bodies: tuple[Body, ...]
    results: dict[int, Node]

    @property
    def is_loop(self) -> bool:
        return self.node.kind == "while_loop"

    def operand_qparams(self) -> list[QParams | None]:
        """The qparams of each operand, None for those that are not dequantized."""
        return [self.view.qparams(operand) if self.view.is_dq(operand) else None for operand in self.operands]

    def entries(self, number: int) -> list[list[QParams]]:
        """For each body the qparams of the Qs that it puts on an operand, in order."""
        return [
            [qparams for q in body.view.out_q(entry) if (qparams := body.view.qparams(q)) is not None]
            for body, entry in self._given(number)
        ]

    def is_used(self, number: int) -> bool:
        """Whether any body reads an operand."""
        return any(body.view.users(entry) for body, entry in self._given(number))

    def _given(self, number: int) -> Iterator[tuple[Body, Node]]:
        return ((body, body.inputs[number]) for body in self.bodies if number < len(body.inputs))

    def loop_exit(self, number: int) -> QParams | None:
        """The qparams of the DQ with which a loop's body ends for one carried value."""
        body = self.bodies[-1]
        end = body.ends[number] if number < len(body.ends) else None
        return body.view.qparams(end) if end is not None and body.view.is_dq(end) else None

    def result_qparams(self, number: int) -> QParams | None:
        """The qparams of the Q behind a result."""
        result = self.results.get(number)
        quantizers = self.view.out_q(result) if result is not None else []
        return self.view.qparams(quantizers[0]) if quantizers else None


def calls(view: View) -> Iterator[Call]:
    """The annotated control-flow ops of a graph whose bodies are known."""
    for node in view.calls(Trait.CONTROL_FLOW):
        # cond(predicate, true, false, operands); while_loop(condition, body, carried, additional)
        position = 2 if node.kind == "while_loop" else 3
        operands = node.args[position] if position < len(node.args) else None
        names = [name for name in node.args if isinstance(name, str) and name in view.graph.subgraphs]
        if not node.annotated or not isinstance(operands, tuple) or len(names) != 2:
            continue
        nodes = tuple(view.graph[operand.name] for operand in operands if isinstance(operand, Ref))
        if len(nodes) == len(operands):
            bodies = tuple(Body.of(view.graph.subgraphs[name]) for name in names)
            yield Call(node, view, nodes, bodies, dict(_results(view, node)))


def _results(view: View, node: Node) -> Iterator[tuple[int, Node]]:
    for user in view.users(node):
        number = user.args[1] if len(user.args) > 1 else None
        if isinstance(number, int):
            yield number, user


def cond(second: QParams | None = FIRST, entry: QParams | None = None) -> Callable[[], Graph]:
    """Adds or subtracts x and y. ``second``: qparams of y, None for float; ``entry``: other qparams with which x
    is quantized inside once more.
    """

    def build() -> Graph:
        b = GraphBuilder()
        predicate, x = b.input("predicate", (), "bool"), b.quantized_input("x", _SHAPE, FIRST)
        y = b.input("y", _SHAPE) if second is None else b.quantized_input("y", _SHAPE, second)
        names = ("true_graph_0", "false_graph_0")
        call = b.call("higher_order.cond", predicate, *names, (x, y), shape=_SHAPE)
        value = b.call("operator.getitem", call, 0, shape=_SHAPE)
        graph = b.output(b.requantize(value, COARSE))
        bodies = (_branch(op, second, entry) for op in ("add", "sub"))
        return _with_bodies(graph, dict(zip(names, bodies, strict=True)))

    return build


def loop(result: QParams = FIRST) -> Callable[[], Graph]:
    """Adds y to x until the sum over x reaches 60; ``result``: qparams of x behind the loop."""

    def build() -> Graph:
        b = GraphBuilder()
        operands = tuple(b.quantized_input(name, _SHAPE, FIRST) for name in "xy")
        names = ("while_cond_graph_0", "while_body_graph_0")
        call = b.call("higher_order.while_loop", *names, operands, (), shape=_SHAPE)
        values = [b.call("operator.getitem", call, number, shape=_SHAPE) for number in (0, 1)]
        ends = [b.requantize(value, q) for value, q in zip(values, (result, FIRST), strict=True)]
        return _with_bodies(b.output(*ends), {names[0]: _condition(), names[1]: _step()})

    return build


def _branch(op: str, second: QParams | None, entry: QParams | None) -> Graph:
    b = GraphBuilder()
    x, y = b.input("arg0", _SHAPE), b.input("arg1", _SHAPE)
    left = b.requantize(x, FIRST)
    right = b.requantize(x, entry) if entry is not None else b.requantize(y, second or FIRST)
    return b.output(b.requantize(b.call(f"aten.{op}.Tensor", left, right), COARSE))


def _condition() -> Graph:
    b = GraphBuilder()
    x, _ = b.quantized_input("arg0", _SHAPE, FIRST), b.input("arg1", _SHAPE)
    sums = int8(0.5, -128)
    total = b.requantize(b.call("aten.sum.dim_IntList", x, (0, 1, 2), True, shape=(1, 1, 1)), sums)
    limit = b.requantize(b.call("aten.full.default", (1,), 60.0, shape=(1,)), sums)
    less = b.call("aten.lt.Tensor", total, limit, shape=(1, 1, 1), dtype="bool")
    return b.output(b.call("aten.squeeze.default", less, shape=(), dtype="bool"))


def _step() -> Graph:
    b = GraphBuilder()
    x, y = b.input("arg0", _SHAPE), b.input("arg1", _SHAPE)
    total = b.call("aten.add.Tensor", b.requantize(x, FIRST), b.requantize(y, FIRST))
    same = b.call("aten.abs.default", b.requantize(y, FIRST))
    return b.output(b.requantize(total, FIRST), b.requantize(same, FIRST))


def _with_bodies(graph: Graph, bodies: dict[str, Graph]) -> Graph:
    names = tuple(bodies)
    nodes = [replace(node, subgraphs=names) if node.info.has(Trait.CONTROL_FLOW) else node for node in graph]
    return Graph(nodes, subgraphs={name: Graph(list(body), name=name) for name, body in bodies.items()})
