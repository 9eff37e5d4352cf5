"""Ops that a pass of the quantizer made are placed by what feeds them."""

from __future__ import annotations

from dataclasses import replace

from fuseguard.engine.place import made_together, placed_by
from fuseguard.ir import Graph, Node, SourceLine, View
from fuseguard.ir.builder import GraphBuilder, int8

PASS = SourceLine("/venv/site-packages/executorch/backends/arm/_passes/decompose_softmax_pass.py", 113)
HERE, THERE = SourceLine("model.py", 7, "forward", "softmax(x)"), SourceLine("model.py", 9, "forward", "y + 1")


def chain(*places: tuple[SourceLine | None, str]) -> tuple[View, list[Node]]:
    """A chain of ops, each with a source line and a module."""
    b = GraphBuilder()
    value = b.input()
    values = []
    for source, module in places:
        value = b.call("aten.relu.default", value, source=source, module=module)
        values.append(value)
    view = View(b.output(value))
    return view, [view.graph.nodes[item] for item in values]


def test_a_line_of_its_own_comes_first() -> None:
    view, nodes = chain((HERE, "a"), (THERE, "a"))
    assert placed_by(view, nodes[1:]) is nodes[1]
    assert placed_by(view, nodes) is nodes[0]


def test_a_made_op_is_placed_by_what_feeds_it() -> None:
    view, nodes = chain((HERE, "a"), (PASS, "a"), (None, "a"), (PASS, "a"), (THERE, "a"))
    assert placed_by(view, [nodes[3]]) is nodes[0]
    assert placed_by(view, [nodes[3], nodes[4]]) is nodes[4], "one of the finding's own nodes"


def test_the_same_module_comes_before_what_is_nearer() -> None:
    view, nodes = chain((HERE, "other"), (PASS, "softmax"), (PASS, "softmax"), (THERE, "softmax"))
    assert placed_by(view, [nodes[1]]) is nodes[3]


def test_a_module_without_any_line_is_placed_by_its_neighbours() -> None:
    view, nodes = chain((HERE, "a"), (PASS, "b"), (THERE, "c"))
    assert placed_by(view, [nodes[1]]) is nodes[0]


MEAN = SourceLine("/venv/site-packages/executorch/backends/arm/_passes/decompose_layernorm_pass.py", 133)
SCALE = SourceLine("/venv/site-packages/executorch/backends/arm/_passes/decompose_layernorm_pass.py", 156)


def of_pass(*places: tuple[tuple[SourceLine, ...], str]) -> tuple[View, list[Node]]:
    """As :func:`chain`, with several lines of each op, outermost first."""
    view, nodes = chain(*((None, module) for _, module in places))
    nodes = [replace(node, stack=stack) for node, (stack, _) in zip(nodes, places, strict=True)]
    changed = {node.name: node for node in nodes}
    return View(Graph([changed.get(node.name, node) for node in view.graph])), nodes


def test_an_op_of_a_pass_is_placed_by_what_the_same_pass_made() -> None:
    """The mean of a layer norm has neither a line nor a module, and the linear before it is not what to look at."""
    view, nodes = of_pass(((HERE,), "embed"), ((MEAN,), ""), ((MEAN,), ""), ((THERE, SCALE), "norm"))
    assert placed_by(view, [nodes[1]]) == nodes[3]
    assert made_together(nodes[1], nodes[3])
    assert not made_together(nodes[1], nodes[0])
    assert not made_together(nodes[3], nodes[1]), "it has a line of its own"


def test_of_two_decompositions_in_a_row_the_one_that_goes_on_is_meant() -> None:
    view, nodes = of_pass(((HERE, SCALE), "first"), ((MEAN,), ""), ((THERE, SCALE), "second"))
    assert placed_by(view, [nodes[1]]) == nodes[2]


def test_where_nothing_has_a_line_it_stays_where_it_is() -> None:
    view, nodes = chain((PASS, "a"), (None, "a"))
    assert placed_by(view, [nodes[1]]) is nodes[1]


def test_thousands_of_operands_are_not_looked_at() -> None:
    b = GraphBuilder()
    many = [b.input() for _ in range(3000)]
    view = View(b.output(b.call("aten.cat.default", tuple(many), source=PASS)))
    (cat,) = view.calls()
    asked = 0

    found = view.graph.node_of

    def node_of(ref: object) -> Node | None:
        nonlocal asked
        asked += 1
        return found(ref)  # type: ignore[arg-type]

    view.graph.node_of = node_of  # type: ignore[method-assign,assignment]
    assert placed_by(view, [cat]) is cat
    assert asked < 100


def test_a_long_way_is_not_walked() -> None:
    view, nodes = chain((HERE, "a"), *[(PASS, "a")] * 500)
    assert placed_by(view, [nodes[-1]]) is nodes[-1]


def test_a_dequantize_op_is_not_named_where_its_reader_has_the_line_too() -> None:
    b = GraphBuilder()
    made = b.call("aten.sum.dim_IntList", b.quantized_input("x", (1, 4), int8(0.5)), source=PASS)
    value = b.requantize(made, int8(0.5))
    reader = b.call("aten.mul.Tensor", value, value, module="norm")
    graph = b.output(reader)
    placed = {name: replace(graph.nodes[name], stack=(HERE, PASS)) for name in (value, reader)}
    view = View(Graph([placed.get(node.name, node) for node in graph]))
    assert placed_by(view, [view.graph.nodes[made]]).name == reader
