"""Graphs with a cond or while_loop, for the examples of BO603 and BO608."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fuseguard.ir import Graph, QParams, Trait
from fuseguard.ir.builder import GraphBuilder, int8

FIRST, FINE, FINER, COARSE = int8(0.05), int8(0.02, 5), int8(0.0313), int8(0.11, -3)
_SHAPE = (2, 4, 4)


def cond(
    second: QParams | None = FIRST,
    entry: QParams | None = None,
    first: QParams | None = FIRST,
    branches: tuple[str, str] = ("add", "sub"),
    result: QParams = COARSE,
) -> Callable[[], Graph]:
    """Adds or subtracts x and y. ``first``, ``second``: qparams of x and y, None for float; ``entry``: other qparams
    with which x is quantized inside once more; ``branches``: what :func:`_branch` makes, ``result``: its qparams.
    """

    def build() -> Graph:
        b = GraphBuilder()
        predicate = b.input("predicate", (), "bool")
        operands = tuple(
            b.input(name, _SHAPE) if qparams is None else b.quantized_input(name, _SHAPE, qparams)
            for name, qparams in (("x", first), ("y", second))
        )
        names = ("true_graph_0", "false_graph_0")
        call = b.call("higher_order.cond", predicate, *names, operands, shape=_SHAPE)
        value = b.call("operator.getitem", call, 0, shape=_SHAPE)
        graph = b.output(b.requantize(value, result))
        bodies = (_branch(kind, second, entry, result) for kind in branches)
        return _with_bodies(graph, dict(zip(names, bodies, strict=True)))

    return build


def loop(
    result: QParams = FIRST,
    second: QParams = FIRST,
    inside: QParams = FIRST,
    *,
    additional: bool = False,
    limit: float = 60.0,
    handed: str = "size",
) -> Callable[[], Graph]:
    """Adds |y| to x until the sum over x, no less than 0, reaches ``limit``. ``result``: qparams of x after the loop,
    ``inside`` those in its body, ``second`` those of y; ``additional``: y is not carried along. ``handed``: what the
    body yields for y, see :func:`_step`.
    """

    def build() -> Graph:
        b = GraphBuilder()
        x, y = (b.quantized_input(name, _SHAPE, qparams) for name, qparams in (("x", FIRST), ("y", second)))
        names = ("while_cond_graph_0", "while_body_graph_0")
        operands = ((x,), (y,)) if additional else ((x, y), ())
        call = b.call("higher_order.while_loop", *names, *operands, shape=_SHAPE)
        values = [b.call("operator.getitem", call, number, shape=_SHAPE) for number in range(len(operands[0]))]
        ends = [b.requantize(value, q) for value, q in zip(values, (result, FIRST), strict=False)]
        bodies = (_condition(limit), _step(second, inside, handed if not additional else ""))
        return _with_bodies(b.output(*ends), dict(zip(names, bodies, strict=True)))

    return build


def _branch(kind: str, second: QParams | None, entry: QParams | None, result: QParams) -> Graph:
    """``add`` or ``sub``; ``permuted``: a sum permuted after its DQ; ``float``: a sum in float, then quantized;
    ``float-result``: and then not. ``operand``: x itself; ``maximum``: of x and x.
    """
    b = GraphBuilder()
    x, y = b.input("arg0", _SHAPE), b.input("arg1", _SHAPE)
    if kind.startswith("float"):
        value = b.call("aten.add.Tensor", x, y, annotated=False)
        return b.output(b.requantize(value, result) if kind == "float" else value)
    left = b.requantize(x, FIRST)
    if kind == "operand":
        return b.output(left)
    if kind == "maximum":
        return b.output(b.requantize(b.call("aten.maximum.default", left, left), FIRST))
    right = b.requantize(x, entry) if entry is not None else b.requantize(y, second or FIRST)
    value = b.requantize(b.call(f"aten.{'sub' if kind == 'sub' else 'add'}.Tensor", left, right), result)
    return b.output(b.call("aten.permute.default", value, (0, 2, 1)) if kind == "permuted" else value)


def _condition(limit: float) -> Graph:
    b = GraphBuilder()
    x, _ = b.quantized_input("arg0", _SHAPE, FIRST), b.input("arg1", _SHAPE)
    sums = int8(0.5, -128)
    total = b.requantize(b.call("aten.sum.dim_IntList", x, (0, 1, 2), True, shape=(1, 1, 1)), sums)
    bound = b.requantize(b.call("aten.full.default", (1,), limit, shape=(1,)), sums)
    less = b.call("aten.lt.Tensor", total, bound, shape=(1, 1, 1), dtype="bool")
    return b.output(b.call("aten.squeeze.default", less, shape=(), dtype="bool"))


def _step(second: QParams, inside: QParams, handed: str) -> Graph:
    """X + |y|, and for y what is ``handed`` on: its ``size`` |y|, the ``operand`` itself, its ``maximum`` with itself,
    or nothing.
    """
    b = GraphBuilder()
    x, y = b.input("arg0", _SHAPE), b.input("arg1", _SHAPE)
    size = b.quantize(b.call("aten.abs.default", b.requantize(y, second)), second)
    total = b.call("aten.add.Tensor", b.requantize(x, inside), b.dequantize(size, second))
    result = b.requantize(total, inside)
    if handed in ("operand", "maximum"):
        operand = b.requantize(y, second)
        if handed == "maximum":
            operand = b.requantize(b.call("aten.maximum.default", operand, operand), second)
        return b.output(result, operand)
    ends = [result, b.dequantize(size, second)]
    return b.output(*ends) if handed else b.output(ends[0])


def _with_bodies(graph: Graph, bodies: dict[str, Graph]) -> Graph:
    names = tuple(bodies)
    nodes = [replace(node, subgraphs=names) if node.info.has(Trait.CONTROL_FLOW) else node for node in graph]
    return Graph(nodes, subgraphs={name: Graph(list(body), name=name) for name, body in bodies.items()})
