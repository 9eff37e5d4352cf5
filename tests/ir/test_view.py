"""What the view says of islands, owners, clusters and domains."""

from __future__ import annotations

import math

import pytest

from fuseguard.ir import Graph, Node, Ref, View, activation_bounds
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard_rules.examples.fusion.islands import ANCHORS, RELU, SIGNED, island


def test_a_fused_activation_owns_the_anchors_output_qparams() -> None:
    view = View(island("conv2d", RELU, SIGNED))
    (found,) = view.islands
    assert (found.anchor.kind, found.activation and found.activation.kind) == ("conv", "relu")
    assert found.output_q is not None
    assert view.owner(found.output_q) is found.owner is found.activation


def test_an_anchor_with_its_own_q_owns_its_qparams() -> None:
    (found,) = View(island("conv2d", None, SIGNED)).islands
    assert found.owner is found.anchor


@pytest.mark.parametrize("anchor", ANCHORS)
def test_the_cluster_is_closed_from_either_half(anchor: str) -> None:
    """Anchor, activation and the DQs that feed nothing else, whichever of the pair is asked about."""
    view = View(island(anchor, RELU, SIGNED))
    (found,) = view.islands
    assert found.activation is not None
    cluster = view.cluster(found.anchor)
    assert cluster == view.cluster(found.activation)
    assert {found.anchor.name, found.activation.name} <= cluster
    assert {node.name for node in found.inputs} <= cluster
    assert found.output_q is not None
    assert found.output_q.name not in cluster


def test_who_shares_a_dq_with_the_cluster_belongs_to_it() -> None:
    """Left behind, the other reader would be parted from its DQ (seen: crash and silent garbage)."""
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 4, 8, 8), SIGNED)
    w = b.quantized_constant("w", (4, 4, 3, 3))
    conv = b.requantize(b.call("aten.conv2d.default", x, w, shape=(1, 4, 6, 6)), SIGNED)
    relu = b.call("aten.relu.default", x)
    view = View(b.output(conv, b.requantize(relu, SIGNED)))
    (found,) = view.islands
    assert {x, w, relu} <= view.cluster(found.anchor)
    assert conv not in view.cluster(found.anchor)


def test_what_else_is_an_output_does_not_belong_to_the_cluster() -> None:
    """The output node reads whatever leaves the program: through it, one refusal took in all branches."""
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 4, 8, 8), SIGNED)
    other = b.requantize(b.call("aten.sigmoid.default", x, shape=(1, 4, 8, 8)), SIGNED)
    apart = b.call("aten.relu.default", other, shape=(1, 4, 8, 8))  # reads the DQ that is an output, too
    y = b.quantized_input("y", (1, 4, 8, 8), SIGNED)
    relu = b.call("aten.relu.default", y, shape=(1, 4, 8, 8))
    view = View(b.output(y, b.requantize(relu, SIGNED), other, b.requantize(apart, SIGNED)))
    assert view.cluster(view.graph[relu]) == {y, relu}
    output = next(node for node in view.graph if node.op == "output")
    assert view.cluster(output) == {output.name}


def test_dead_dqs_are_no_users() -> None:
    """PT2E leaves dead DQs behind; counting them would hide a single user."""
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 4, 8, 8), SIGNED)
    w = b.quantized_constant("w", (4, 4, 3, 3))
    conv = b.call("aten.conv2d.default", x, w, shape=(1, 4, 6, 6))
    relu = b.call("aten.relu.default", conv)
    b.call("aten.sigmoid.default", conv)  # dead
    (found,) = View(b.output(b.requantize(relu, SIGNED))).islands
    assert found.activation is not None


def test_a_cat_joins_its_inputs_in_one_domain_and_a_conv_does_not() -> None:
    graph = island("conv2d", RELU, SIGNED)
    view = View(graph)
    (found,) = view.islands
    cat = next(node for node in graph if node.kind == "cat")
    domain = view.domain(cat)
    assert "y" in domain
    assert found.activation is not None
    assert found.activation.name in domain
    assert "x" not in domain


@pytest.mark.parametrize(
    ("target", "args", "bounds"),
    [
        ("aten.relu.default", (), (0.0, math.inf)),
        ("aten.relu_.default", (), (0.0, math.inf)),
        ("aten.relu6.default", (), (0.0, 6.0)),
        ("aten.hardtanh.default", (), (-1.0, 1.0)),
        ("aten.hardtanh_.default", (0.0, 6.0), (0.0, 6.0)),
        ("aten.clamp.default", (None, 3), (-math.inf, 3.0)),
        ("aten.clamp_min.default", (-2.0,), (-2.0, math.inf)),
        ("aten.clamp_max.default", (2.0,), (-math.inf, 2.0)),
    ],
)
def test_activation_bounds(target: str, args: tuple, bounds: tuple[float, float]) -> None:
    assert activation_bounds(Node("n", "call", target, (Ref("x"), *args))) == bounds


def test_a_tensor_bound_is_unknown() -> None:
    low, _ = activation_bounds(Node("n", "call", "aten.clamp.Tensor", (Ref("x"), Ref("low"))))
    assert math.isnan(low)


def test_keys_do_not_depend_on_node_names() -> None:
    graph = island("conv2d", RELU, SIGNED)
    renamed = Graph(
        [
            Node(
                f"n_{node.name}", node.op, node.target, _rename(node.args), node.kwargs, node.outputs, node.stack,
                node.module, node.module_type, node.annotated, node.constant,
            )
            for node in graph
        ]
    )  # fmt: skip
    keys = [View(g).key(View(g).islands[0].anchor) for g in (graph, renamed)]
    assert keys[0] == keys[1] == "/anchor:conv#0"


def _rename(arg):
    if isinstance(arg, Ref):
        return Ref(f"n_{arg.name}")
    return tuple(_rename(part) for part in arg) if isinstance(arg, tuple) else arg


@pytest.mark.parametrize(
    "nodes",
    [
        [Node("a", "placeholder"), Node("a", "placeholder")],
        [Node("a", "call", "aten.relu.default", (Ref("b"),)), Node("b", "placeholder")],
        [Node("a", "call", "aten.relu.default", (Ref("a"),))],
    ],
    ids=["duplicate", "undefined", "self"],
)
def test_a_malformed_graph_is_refused(nodes: list[Node]) -> None:
    with pytest.raises(ValueError, match="'a'"):
        Graph(nodes)


def test_unreadable_qparams_are_none_and_break_nothing() -> None:
    """A hostile or foreign file may put anything where a scale belongs."""
    b = GraphBuilder()
    x = b.input("x")
    q = b.call("quantized_decomposed.quantize_per_tensor.default", x, "scale", None, 0, 1, "int8")
    view = View(b.output(b.dequantize(q, int8(0.1))))
    assert view.qparams(view.graph[q]) is None
