"""Walks over a graph: what is beyond a Q or a DQ is found whatever is between, and a walk ends."""

from __future__ import annotations

from fuseguard.ir import Graph, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.walks import beyond_quantizers, reached


def chain(requantizations: int) -> Graph:
    """relu, then pairs of Q and DQ, then sigmoid, which reads the result, and add, which reads it twice."""
    b = GraphBuilder()
    value = b.call("aten.relu.default", b.quantized_input("x", (1, 4), int8(0.1)))
    for step in range(requantizations):
        value = b.requantize(value, int8(0.1 + step))
    read = b.call("aten.sigmoid.default", value)
    return b.output(b.call("aten.add.Tensor", b.requantize(value, int8(0.3)), b.requantize(value, int8(0.4))), read)


def test_readers_and_producers_are_beyond_any_number_of_quantizers() -> None:
    for number in (1, 3):
        view = View(chain(number))
        (relu,), (add,) = view.of_kind("relu"), view.of_kind("add")
        readers = sorted(node.kind for node in beyond_quantizers(relu, view.users))
        assert readers == ["add", "add", "sigmoid"], "once for each way to it"
        assert {node.kind for node in beyond_quantizers(add, view.graph.inputs)} == {"relu"}


def test_further_nodes_are_looked_through() -> None:
    view = View(chain(1))
    (relu,) = view.of_kind("relu")
    passed = list(beyond_quantizers(relu, view.users, lambda node: node.op != "output"))
    assert {node.kind or node.op for node in passed} == {"output"}


def test_a_walk_ends_after_so_many_nodes() -> None:
    view = View(chain(40))
    (relu,) = view.of_kind("relu")
    assert list(beyond_quantizers(relu, view.users, most=10)) == []
    assert list(beyond_quantizers(relu, view.users, most=200))


def test_what_is_known_is_not_walked_again() -> None:
    view = View(chain(1))
    (relu,), (add,) = view.of_kind("relu"), view.of_kind("add")
    assert reached(relu, view.users, ())[0] is relu
    assert add not in reached(relu, view.users, {add.name})
