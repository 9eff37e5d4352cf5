"""Ops that a pass of the quantizer made are placed by what feeds them."""

from __future__ import annotations

from fuseguard.engine.place import placed_by
from fuseguard.ir import Node, SourceLine, View
from fuseguard.ir.builder import GraphBuilder

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
