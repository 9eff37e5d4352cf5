"""Bodies that an op runs as they are become ops of the graph around it."""

from __future__ import annotations

import pytest

from fuseguard.ir.graph import Graph, Node, Ref, TensorMeta
from fuseguard.ir.inlined import inlined
from fuseguard.readers.budget import Budget, OverBudget

F32 = (TensorMeta("float32", (2,)),)
F16 = (TensorMeta("float16", (2,)),)
OFF = ("cpu", "bfloat16", False, False, "body")


def body(*, wide: bool = True) -> Graph:
    """Casts its input, to the dtype that it has already unless not ``wide``; yields the cast's relu, and the input."""
    cast = F32 if wide else F16
    return Graph([
        Node("x", "placeholder", outputs=F32),
        Node("to", "call", "aten.to.dtype", (Ref("x"), cast[0].dtype), outputs=cast),
        Node("relu", "call", "aten.relu.default", (Ref("to"),), outputs=cast),
        Node("output", "output", args=((Ref("relu"), Ref("x")),)),
    ])  # fmt: skip


def around(wrapper: str = "higher_order.wrap_with_autocast", args: tuple[object, ...] = OFF) -> list[Node]:
    return [
        Node("y", "placeholder", outputs=F32),
        Node("relu", "call", "aten.neg.default", (Ref("y"),), outputs=F32, index=1),
        Node("run", "call", wrapper, (*args, Ref("relu")), subgraphs=("body",), index=2),  # type: ignore[arg-type]
        Node("first", "call", "operator.getitem", (Ref("run"), 0), outputs=F32, index=3),
        Node("second", "call", "operator.getitem", (Ref("run"), 1), outputs=F32, index=4),
        Node("output", "output", args=((Ref("first"), Ref("second")),), index=5),
    ]


@pytest.mark.parametrize(
    ("wrapper", "args"),
    [("higher_order.wrap_with_autocast", OFF), ("higher_order.wrap_with_set_grad_enabled", (False, "body"))],
)
def test_the_ops_of_a_body_stand_in_place_of_what_runs_it(wrapper: str, args: tuple[object, ...]) -> None:
    nodes, left = inlined(around(wrapper, args), {"body": body()})
    graph = Graph(nodes)
    assert [node.target for node in graph if node.op == "call"] == ["aten.neg.default", "aten.relu.default"]
    assert list(graph.nodes) == ["y", "relu", "relu_1", "output"]
    assert graph["relu_1"].args == (Ref("relu"),), "a cast to the dtype that a value has is left out"
    assert graph["output"].args == ((Ref("relu_1"), Ref("relu")),)
    assert [node.index for node in graph] == [0, 1, 2, 3]
    assert not left


def test_a_cast_to_another_dtype_stays() -> None:
    nodes, _ = inlined(around(), {"body": body(wide=False)})
    assert [node.name for node in nodes] == ["y", "relu", "to", "relu_1", "output"]


def test_an_autocast_that_is_on_stays() -> None:
    """It casts what the ops of its body read."""
    nodes = around(args=("cpu", "bfloat16", True, False, "body"))
    made, left = inlined(nodes, {"body": body()})
    assert made is nodes
    assert list(left) == ["body"]


@pytest.mark.parametrize("args", [("cpu",), OFF[:4], (*OFF, Ref("y")), (*OFF[:4], "other")])
def test_what_does_not_fit_its_body_stays(args: tuple[object, ...]) -> None:
    nodes = around(args=args)
    assert inlined(nodes, {"body": body()})[0] is nodes


def test_a_body_with_a_branch_stays() -> None:
    """The names of its bodies are not unique outside of it."""
    with_branch = Graph(list(body()), subgraphs={"true_graph_0": body()})
    nodes = around()
    assert inlined(nodes, {"body": with_branch})[0] is nodes


def test_a_body_that_runs_twice_is_there_twice() -> None:
    nodes = around()[:3]
    nodes.append(Node("again", "call", nodes[2].target, (*OFF, Ref("first")), subgraphs=("body",), index=4))
    nodes.insert(3, around()[3])
    nodes.append(Node("output", "output", args=(Ref("again"),)))
    made, _ = inlined(nodes, {"body": body()})
    assert [node.name for node in made] == ["y", "relu", "relu_1", "relu_2", "output"]
    assert made[-1].args == ((Ref("relu_2"), Ref("relu_1")),)


def test_each_copy_counts() -> None:
    budget = Budget()
    nodes = around()[:2]
    nodes += [
        Node(f"run_{number}", "call", "higher_order.wrap_with_autocast", (*OFF, Ref("relu")), subgraphs=("body",))
        for number in range(10_000)
    ]

    def copied(number: int, arguments: int) -> None:
        budget.nodes(number)
        budget.arguments(arguments)

    with pytest.raises(OverBudget):
        inlined(nodes, {"body": body()}, copied)
