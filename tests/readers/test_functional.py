"""In-place ops in the graph: what they write is a value, and what they write to a buffer or an input is a result."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fuseguard.engine import load_registry, run
from fuseguard.ir import Graph, Node, Ref, TensorMeta
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.functional import functional, writes_in_place
from fuseguard.ir.view import View
from fuseguard.target import Target
from fuseguard_rules.examples.fusion.islands import RELU, SIGNED, island

TARGET = Target.parse("TOSA-1.0+INT+FP", "1.5.1")


def result(graph: Graph) -> tuple[str, ...]:
    (values,) = graph["output"].args
    assert isinstance(values, tuple)
    return tuple(value.name for value in values if isinstance(value, Ref))


def found(graph: Graph) -> list[tuple[str, tuple[str, ...]]]:
    report = run(graph, TARGET, load_registry().select())
    assert not report.failures
    return [(finding.code, finding.nodes) for finding in report.findings]


def test_what_feeds_only_a_buffer_is_live_and_linted() -> None:
    graph = island("conv2d", RELU, SIGNED, kept="whole")
    view = View(graph)
    assert all(view.is_live(node) for node in graph if node.op == "call")
    assert found(graph) == [("FU101", ("conv2d", "relu"))]


def test_the_last_copy_to_a_buffer_is_the_value_itself() -> None:
    b = GraphBuilder()
    state, x = b.constant("state", (4,), "float32"), b.input("x", (4,))
    doubled = b.call("aten.mul.Tensor", x, 2.0)
    written = b.call("aten.copy_.default", state, doubled)
    graph = b.output(b.call("aten.neg.default", written))
    assert graph.mutations == {"state": "mul"}
    assert result(graph) == ("mul", "neg")
    assert [node.name for node in graph.users(graph["mul"])] == ["neg", "output"]


def test_an_input_keeps_its_copy() -> None:
    """Torch leaves out the copies to buffers alone."""
    b = GraphBuilder()
    x, y = b.input("x", (4,)), b.input("y", (4,))
    b.call("aten.copy_.default", x, y)
    graph = b.output(y)
    assert graph.mutations == {"x": "copy_"}
    assert graph["copy_"].target == "aten.copy.default"


def test_what_is_read_after_a_write_is_what_was_written() -> None:
    b = GraphBuilder()
    state, x = b.constant("state", (8, 4), "float32"), b.input("x", (2, 4))
    before = b.call("aten.neg.default", state)
    part = b.call("aten.slice.Tensor", state, 0, 2, 4, shape=(2, 4))
    b.call("aten.copy_.default", part, x)
    graph = b.output(before, b.call("aten.abs.default", state))
    scatter = graph["slice_scatter"]
    assert (scatter.target, scatter.args) == (
        "aten.slice_scatter.default", (Ref("state"), Ref("copy_"), 0, 2, 4)
    )  # fmt: skip
    assert scatter.meta == TensorMeta("float32", (8, 4))
    assert graph["copy_"].args == (Ref("slice"), Ref("x"))
    assert graph["neg"].args == (Ref("state"),)
    assert graph["abs"].args == (Ref("slice_scatter"),)
    assert graph.mutations == {"state": "slice_scatter"}


def test_views_of_what_was_written_are_made_again() -> None:
    b = GraphBuilder()
    state = b.constant("state", (8, 4), "float32")
    turned = b.call("aten.t.default", state, shape=(4, 8))
    b.call("aten.mul_.Tensor", state, 2.0)
    graph = b.output(b.call("aten.add.Tensor", turned, 1.0))
    assert graph["add"].args == (Ref("t_1"), 1.0)
    assert graph["t_1"].args == (Ref("mul_"),)
    assert not View(graph).is_live(graph["t"])


@pytest.mark.parametrize(
    ("view", "shape", "scatter"),
    [
        (("aten.select.int", 0, 1), (4,), ("aten.select_scatter.default", 0, 1)),
        (("aten.narrow.default", 0, 2, 3), (3, 4), ("aten.slice_scatter.default", 0, 2, 5)),
        (("aten.diagonal.default",), (4,), ("aten.diagonal_scatter.default",)),
        (("aten.unfold.default", 0, 2, 2), (4, 4, 2), ("aten.as_strided_scatter.default",)),
    ],
)
def test_a_write_to_a_part_is_scattered(
    view: tuple[str, ...], shape: tuple[int, ...], scatter: tuple[str, ...]
) -> None:
    b = GraphBuilder()
    state = b.constant("state", (8, 4), "float32")
    part = b.call(view[0], state, *view[1:], shape=shape)
    b.call("aten.fill_.Scalar", part, 1.0)
    graph = b.output(b.input("x"))
    node = graph[graph.mutations["state"]]
    assert (node.target, *node.args) == (scatter[0], Ref("state"), Ref("fill_"), *scatter[1:])


@pytest.mark.parametrize(
    ("view", "shape", "back"),
    [
        (("aten.view.default", (32,)), (32,), ("aten.view.default", (8, 4))),
        (("aten.unsqueeze.default", 0), (1, 8, 4), ("aten.view.default", (8, 4))),
        (("aten.transpose.int", 0, 1), (4, 8), ("aten.transpose.int", 0, 1)),
        (("aten.permute.default", (-1, 0)), (4, 8), ("aten.permute.default", (1, 0))),
    ],
)
def test_a_write_to_another_form_is_formed_back(
    view: tuple[str, ...], shape: tuple[int, ...], back: tuple[str, ...]
) -> None:
    b = GraphBuilder()
    state = b.constant("state", (8, 4), "float32")
    b.call("aten.add_.Tensor", b.call(view[0], state, *view[1:], shape=shape), 1.0)
    graph = b.output(b.input("x"))
    node = graph[graph.mutations["state"]]
    assert (node.target, *node.args) == (back[0], Ref("add_"), *back[1:])


def test_a_write_through_an_alias_is_a_write() -> None:
    b = GraphBuilder()
    state = b.constant("state", (4,), "float32")
    b.call("aten.zero_.default", b.call("aten.alias.default", b.call("aten.detach.default", state)))
    assert b.output(b.input("x")).mutations == {"state": "zero_"}


def _parts(target: str, *rest: object) -> Graph:
    outputs = (TensorMeta("float32", (3, 4)), TensorMeta("float32", (5, 4)))
    state = Node("state", "placeholder", outputs=(TensorMeta("float32", (8, 4)),), constant=True)
    parts = Node("parts", "call", target, (Ref("state"), *rest), outputs=outputs, index=1)  # type: ignore[arg-type]
    part = Node("part", "call", "operator.getitem", (Ref("parts"), 1), outputs=outputs[1:], index=2)
    write = Node("write", "call", "aten.fill_.Scalar", (Ref("part"), 1.0), outputs=outputs[1:], index=3)
    nodes, written = functional([state, parts, part, write, Node("output", "output", args=((),), index=4)])
    return Graph(nodes, mutations=written)


def test_a_write_to_one_of_several_parts() -> None:
    graph = _parts("aten.split_with_sizes.default", (3, 5))
    node = graph[graph.mutations["state"]]
    assert (node.target, node.args) == ("aten.slice_scatter.default", (Ref("state"), Ref("write"), 0, 3, 8))
    graph = _parts("aten.unbind.int", 1)
    node = graph[graph.mutations["state"]]
    assert (node.target, node.args) == ("aten.select_scatter.default", (Ref("state"), Ref("write"), 1, 1))


def test_what_is_written_over_is_dead() -> None:
    b = GraphBuilder()
    state, x = b.constant("state", (4,), "float32"), b.input("x", (4,))
    b.call("aten.copy_.default", state, b.call("aten.neg.default", x))
    b.call("aten.copy_.default", state, b.call("aten.abs.default", x))
    graph = b.output(x)
    assert graph.mutations == {"state": "abs"}
    assert not View(graph).is_live(graph["neg"])


def test_a_write_to_a_temporary_that_nobody_reads_is_dead() -> None:
    """What Arm's quantizer before 1.4 makes of a state: a quantize op and its dequantize op stand before the write."""
    b = GraphBuilder()
    state, x = b.constant("state", (4,), "float32"), b.input("x", (4,))
    place = b.requantize(state, int8(0.1))
    b.call("aten.copy_.default", place, b.call("aten.neg.default", x))
    graph = b.output(x)
    assert not graph.mutations
    assert not View(graph).is_live(graph["neg"])


def test_an_activation_in_place_leaves_the_nodes_as_they_are() -> None:
    b = GraphBuilder()
    x = b.input("x", (4,))
    y = b.call("aten.relu_.default", b.call("aten.neg.default", x))
    b.output(y)
    nodes = list(b._nodes)
    assert functional(nodes) == (nodes, {})
    assert functional(nodes)[0] is nodes


def test_a_temporary_that_is_read_by_its_first_name_after_a_write() -> None:
    b = GraphBuilder()
    x = b.input("x", (8, 4))
    y = b.call("aten.neg.default", x)
    b.call("aten.zero_.default", b.call("aten.slice.Tensor", y, 0, 2, 4, shape=(2, 4)))
    graph = b.output(y)
    assert not graph.mutations
    assert result(graph) == ("slice_scatter",)


def test_a_write_in_an_input_and_a_buffer_come_in_the_order_of_the_placeholders() -> None:
    b = GraphBuilder()
    first, second, x = (b.constant(name, (4,), "float32") for name in ("first", "second", "third"))
    for value in (x, second, first):
        b.call("aten.add_.Tensor", value, 1.0)
    graph = b.output(x)
    assert tuple(graph.mutations) == ("first", "second", "third")
    assert result(graph)[:3] == tuple(graph.mutations.values())


@pytest.mark.parametrize(
    ("target", "writes"),
    [
        ("aten.copy_.default", True),
        ("aten.index_put_.default", True),
        ("aten.add_.Tensor", True),
        ("aten.copy.default", False),
        ("aten.detach_.default", False),
        ("aten.__and__.Tensor", False),
        ("operator.getitem", False),
        ("higher_order.cond_", False),
        ("", False),
    ],
)
def test_which_ops_write_in_place(target: str, writes: bool) -> None:
    assert writes_in_place(target) is writes


def _twice(nodes: list[Node]) -> list[Node]:
    return [*nodes, nodes[0]]


def _unknown(nodes: list[Node]) -> list[Node]:
    return [*nodes, Node("late", "call", "aten.neg.default", (Ref("nowhere"),))]


@pytest.mark.parametrize("spoil", [_twice, _unknown])
def test_nodes_that_make_no_graph_are_refused(spoil: Callable[[list[Node]], list[Node]]) -> None:
    nodes = [
        Node("x", "placeholder", outputs=(TensorMeta("float32", (4,)),)),
        Node("zero_", "call", "aten.zero_.default", (Ref("x"),), index=1),
    ]
    with pytest.raises(ValueError, match=r"x|nowhere"):
        functional(spoil(nodes))


def test_a_mutation_by_an_unknown_node_is_refused() -> None:
    with pytest.raises(ValueError, match="'nowhere'"):
        Graph([Node("x", "placeholder")], mutations={"x": "nowhere"})


def test_a_long_chain_of_writes_takes_no_stack() -> None:
    b = GraphBuilder()
    value = b.constant("state", (4,), "float32")
    for _ in range(3000):
        value = b.call("aten.add_.Tensor", value, 1.0)
    graph = b.output(value)
    assert graph.mutations == {"state": "add__2999"}


def test_writes_through_many_views_are_refused_before_they_fill_memory() -> None:
    b = GraphBuilder()
    value = b.constant("state", (4, 4), "float32")
    for _ in range(300):
        value = b.call("aten.t.default", value)
    for _ in range(300):
        b.call("aten.zero_.default", value)
    with pytest.raises(ValueError, match="more than 16 nodes"):
        b.output(value)
