"""Every rule, on every example whose qparams are replaced by some that arithmetic cannot use, or that are per channel.

Protects: a rule that fails, instead of leaving such qparams to QP304 or to another rule. ``QParams.usable`` says which
qparams have a scale to compute with.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from fuseguard.engine import run
from fuseguard.engine.registry import load_registry
from fuseguard.ir import Graph, Node, Ref, TensorMeta
from fuseguard.ir.ops import QUANTIZERS
from fuseguard.target import Target

RULES = load_registry().select()
EXAMPLES = [
    pytest.param(rule, example.graph, id=f"{rule.code}-{place}")
    for rule in RULES
    for place, example in enumerate((*rule.bad, *rule.good))
]
Change = Callable[[Node], Node]


def with_scale(scale: float) -> Change:
    return lambda node: replace(node, args=(node.args[0], scale, *node.args[2:]))


def per_channel(*kinds: str) -> Change:
    """Has Qs or DQs go by tensors of scales and zero points, along the last axis."""

    def change(node: Node) -> Node:
        if node.kind not in kinds:
            return node
        value, _, _, *codes = node.args
        axis = max(node.meta.rank - 1, 0) if node.meta is not None else 0
        target = node.target.replace("per_tensor", "per_channel")
        return replace(node, target=target, args=(value, Ref("the_scales"), Ref("the_points"), axis, *codes))

    return change


CHANGES: tuple[Change, ...] = (
    *(with_scale(scale) for scale in (0.0, -0.05, math.nan, math.inf, 1e-41)),
    per_channel("quantize"),
    per_channel("dequantize"),
    per_channel("quantize", "dequantize"),
)


def changed(graph: Graph, change: Change) -> Graph:
    """The graph with each Q and DQ changed, and with the scales and zero points of four channels to refer to."""
    meta = TensorMeta("float32", (4,))
    stored = [Node(name, "placeholder", outputs=(meta,), constant=True) for name in ("the_scales", "the_points")]
    nodes = [change(node) if node.kind in QUANTIZERS and "per_tensor" in node.target else node for node in graph]
    return Graph(
        [replace(node, index=index) for index, node in enumerate([*stored, *nodes])],
        dialect=graph.dialect,
        name=graph.name,
        buffers={**graph.buffers, "the_scales": (0.05, 0.06, 0.07, 0.08), "the_points": (0.0, 0.0, 0.0, 0.0)},
        subgraphs={name: changed(body, change) for name, body in graph.subgraphs.items()},
        mutations=graph.mutations,
    )


def strange(graph: Graph) -> list[Graph]:
    return [changed(graph, change) for change in CHANGES]


@pytest.mark.parametrize(("rule", "graph"), EXAMPLES)
def test_the_rule_of_an_example_does_not_fail(rule, graph: Callable[[], Graph]) -> None:
    for profile, release in (("INT", "1.2.0"), ("INT+FP", "1.5.1")):
        target = Target.parse(f"TOSA-1.0+{profile}+int16", release)
        for item in strange(graph()):
            assert run(item, target, (rule,)).failures == ()


@pytest.mark.parametrize("graph", [pytest.param(rule.bad[0].graph, id=rule.code) for rule in RULES])
def test_no_rule_fails_on_the_example_of_another(graph: Callable[[], Graph]) -> None:
    target = Target.parse("TOSA-1.0+INT+FP+int16", "1.5.1")
    for item in strange(graph()):
        assert run(item, target, RULES).failures == ()
