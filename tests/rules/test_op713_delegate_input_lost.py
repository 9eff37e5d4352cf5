"""OP713 where its examples do not reach, torch-free.

Protects: an input that something in its delegate reads is kept, and the repair reads no input.
"""

from __future__ import annotations

import pytest

from fuseguard.engine import MakeConstant, SetArgument
from fuseguard.ir import Graph, Ref
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target
from fuseguard_rules.operator.op713_delegate_input_lost import DelegateInputLost
from fuseguard_testkit.graph_rewriting import repair_graph
from fuseguard_testkit.linting import find

SHAPE = (1, 4, 6, 6)
QPARAMS, OUT = int8(0.05), int8(0.08, 3)


def filled(target: str, *args: float, dtype: str = "float32", of: str = "input") -> Graph:
    """Something of the shape of ``y``, beside a sigmoid of ``x``."""
    b = GraphBuilder()
    x, y = b.quantized_input("x", SHAPE, QPARAMS), b.input("y", SHAPE)
    results = [b.requantize(b.call("aten.sigmoid.default", x), int8(1 / 256, -128))]
    if of == "op":
        y = b.requantize(b.call("aten.neg.default", b.requantize(y, QPARAMS)), QPARAMS)
        results.append(y)
    elif of == "constant":
        y = b.constant("c", SHAPE, "float32")
    elif of == "cpu":
        y = b.call("aten.sort.values", y, annotated=False)
    results.append(b.call(target, y, *args, dtype=dtype, annotated=False))
    return b.output(*results)


@pytest.mark.parametrize(
    ("graph", "found"),
    [
        (filled("aten.ones_like.default"), True),
        (filled("aten.full_like.default", 2.0), True),
        (filled("aten.fill.Scalar", 2.0), True),
        (filled("aten.ones_like.default", of="op"), False),  # neg is a result, too
        (filled("aten.ones_like.default", of="constant"), False),
        (filled("aten.ones_like.default", of="cpu"), True),  # what the CPU yields is an input of the delegate
        (filled("aten.ones_like.default", dtype="int64"), False),  # stays on the CPU
    ],
)
def test_only_inputs_that_nothing_reads_are_lost(graph: Graph, found: bool) -> None:
    assert bool(find(DelegateInputLost(), graph, release="1.5.1")) == found


@pytest.mark.parametrize(
    ("target", "args", "value"),
    [
        ("aten.zeros_like.default", (), 0.0),
        ("aten.ones_like.default", (), 1.0),
        ("aten.full_like.default", (2.5,), 2.5),
        ("aten.fill.Scalar", (2.5,), 2.5),
    ],
)
def test_the_repair_makes_a_constant(target: str, args: tuple[float, ...], value: float) -> None:
    (finding,) = find(DelegateInputLost(), filled(target, *args), release="1.5.1")
    assert finding.repairable
    assert finding.rewrite is not None
    assert finding.rewrite.edits == (MakeConstant(finding.nodes[0], "aten.full.default", (SHAPE, value), "float32"),)


def test_a_value_that_is_a_tensor_is_not_repaired() -> None:
    b = GraphBuilder()
    graph = b.output(b.call("aten.fill.Tensor", b.input("x", SHAPE), b.input("v", ()), annotated=False))
    (finding,) = find(DelegateInputLost(), graph, release="1.5.1")
    assert finding.rewrite is None


@pytest.mark.parametrize(("shape", "repairable"), [(SHAPE, True), ((6,), False)])
def test_a_copy_is_made_onto_what_it_copies(shape: tuple[int, ...], repairable: bool) -> None:
    b = GraphBuilder()
    x, y = b.quantized_input("x", shape, QPARAMS), b.input("y", SHAPE)
    source = b.requantize(b.call("aten.sigmoid.default", x), int8(1 / 256, -128))
    graph = b.output(b.call("aten.copy.default", y, source, annotated=False))
    rule = DelegateInputLost()
    (finding,) = find(rule, graph, release="1.5.1")
    assert finding.repairable == repairable
    if repairable:
        assert finding.rewrite is not None
        assert finding.rewrite.edits == (SetArgument(finding.nodes[0], 0, "self", Ref(source)),)
        _, _, report = repair_graph(graph, Target.parse("TOSA-1.0+INT+FP", "1.5.1"), (rule,))
        assert report.findings == ()
