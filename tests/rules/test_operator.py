"""Edge cases of the operator rules' predicates, torch-free."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fuseguard.engine import Effect, Finding, Rule, run
from fuseguard.ir import Graph, QParams
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import MEASURED_RELEASES, Target
from fuseguard_rules.operator.op701_int16_conv_read_in_int32 import Int16ConvFork
from fuseguard_rules.operator.op702_conv_weight_layout_unsupported import TransposedConvUnsupported
from fuseguard_rules.operator.op703_max_pool_stride_omitted import PoolStrideOmitted
from fuseguard_rules.operator.op708_permute_lands_on_scalar import PermuteLandsOnScalar

INT16 = QParams.per_tensor(0.00031, 0, -32768, 32767, "int16")
SHAPE = (1, 4, 8, 8)


def find(rule: Rule, graph: Graph, release: str = "1.4.1", spec: str = "TOSA-1.0+INT+FP+int16") -> tuple[Finding, ...]:
    report = run(graph, Target.parse(spec, release), [rule])
    assert not report.failures
    return report.findings


def pool(target: str, *arguments: object, **keywords: object) -> Graph:
    b = GraphBuilder()
    name = b.call(target, b.input("x", SHAPE), *arguments, shape=(1, 4, 4, 4))  # type: ignore[arg-type]
    graph = b.output(name)
    return Graph([replace(node, kwargs=keywords) if node.name == name else node for node in graph])  # type: ignore[arg-type]


@pytest.mark.parametrize("target", ["aten.max_pool2d.default", "aten.max_pool2d_with_indices.default"])
def test_an_omitted_stride_is_found_in_both_spellings(target: str) -> None:
    """The edge dialect knows the pool with indices only; lint and plug-in must agree."""
    for release in ("1.2.0", "1.3.1", "1.4.1", "1.5.0"):
        assert [f.effect for f in find(PoolStrideOmitted(), pool(target, (2, 2)), release)] == [Effect.CRASH]
    assert not find(PoolStrideOmitted(), pool(target, (2, 2)), "1.5.1")


@pytest.mark.parametrize(
    "graph",
    [
        pool("aten.max_pool2d.default", (2, 2), (2, 2)),
        pool("aten.max_pool2d.default", (2, 2), 2),
        pool("aten.max_pool2d.default", (2, 2), stride=(2, 2)),
        pool("aten.max_pool1d.default", (2,)),
        pool("aten.avg_pool2d.default", (2, 2)),
    ],
    ids=["stride", "one number", "keyword", "one dimension", "average"],
)
def test_a_given_stride_or_another_pool_passes(graph: Graph) -> None:
    assert not find(PoolStrideOmitted(), graph)


def test_the_guard_does_not_promise_what_it_cannot_do() -> None:
    """The partitioner dies before it asks additional checks, so that nothing may be refused."""
    (finding,) = find(PoolStrideOmitted(), pool("aten.max_pool2d.default", (2, 2)))
    assert not finding.refuse


def reader(kind: str, *, qparams: QParams = INT16, permuted: bool = False, annotated: bool = True) -> Graph:
    """An anchor and an add that reads it."""
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, qparams)
    groups = 2 if kind == "grouped" else 1
    shape = (8, 8) if kind == "linear" else (4, 4 // groups, 3, 3)
    weight = b.quantized_constant("weight", shape, 0.0031)
    if kind == "linear":
        value = b.call("aten.linear.default", x, weight, None)
    else:
        value = b.call("aten.conv2d.default", x, weight, None, (1, 1), (1, 1), (1, 1), groups)
    value = b.requantize(value, qparams)
    if permuted:
        value = b.requantize(b.call("aten.permute.default", value, (0, 1, 3, 2)), qparams)
    return b.output(b.requantize(b.call("aten.add.Tensor", value, x, annotated=annotated), qparams))


@pytest.mark.parametrize("permuted", [False, True])
def test_an_int16_conv_read_in_int32_is_found(permuted: bool) -> None:
    """RewriteConvPass looks through one permute, and so must the rule."""
    for release, effect in (("1.3.1", Effect.UNDEFINED), ("1.4.1", Effect.UNDEFINED), ("1.5.1", Effect.BOUNDED)):
        assert [f.effect for f in find(Int16ConvFork(), reader("conv", permuted=permuted), release)] == [effect]
    assert not find(Int16ConvFork(), reader("conv", permuted=permuted), "1.2.0")


@pytest.mark.parametrize(
    "graph",
    [reader("linear"), reader("grouped"), reader("conv", qparams=int8(0.0487, 3)), reader("conv", annotated=False)],
    ids=["linear", "grouped", "int8", "float add"],
)
def test_other_anchors_and_readers_pass(graph: Graph) -> None:
    """A linear in A16W8 was a disproved hypothesis: a view sits between it and its reader."""
    for release in MEASURED_RELEASES:
        assert not find(Int16ConvFork(), graph, release)


def transposed(*, groups: int = 1, dilation: object = (1, 1), axis: int | None = None) -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 4, 6, 6), int8(0.0487, 3))
    scale = 0.01 if axis is None else (0.01,) * 4
    weight = b.quantized_constant("weight", (4, 4 // groups, 2, 2), scale)
    rest = ((2, 2), (0, 0), (0, 0), groups, dilation)
    value = b.call("aten.conv_transpose2d.input", x, weight, None, *rest, shape=(1, 4, 12, 12))  # type: ignore[arg-type]
    graph = b.output(b.requantize(value, int8(0.0517)))
    nodes = [
        replace(node, args=(*node.args[:3], axis, *node.args[4:])) if "dequantize_per_channel" in node.target else node
        for node in graph
    ]
    return Graph(nodes, buffers=graph.buffers)


@pytest.mark.parametrize(
    ("graph", "before", "after"),
    [
        (transposed(groups=2, axis=0), Effect.CRASH, None),
        (transposed(dilation=(2, 1)), Effect.CRASH, None),
        (transposed(dilation=2), Effect.CRASH, None),
        (transposed(groups=2, dilation=(2, 2)), None, None),
        (transposed(groups=2), None, None),
        (transposed(axis=1), None, None),
        (transposed(axis=-3), None, None),
        (transposed(axis=0), Effect.WRONG, Effect.WRONG),
        (transposed(axis=-4), Effect.WRONG, Effect.WRONG),
    ],
    ids=["grouped", "dilated", "one number", "both", "per tensor", "right axis", "counted from the end", "wrong axis",
         "wrong from the end"],
)  # fmt: skip
def test_transposed_convolutions(graph: Graph, before: Effect | None, after: Effect | None) -> None:
    """From 1.4 on the partitioner rejects what it cannot lower, so only the axis remains a fault."""
    for release, effect in (("1.2.0", before), ("1.3.1", before), ("1.4.1", after), ("1.5.1", after)):
        found = [f.effect for f in find(TransposedConvUnsupported(), graph, release, "TOSA-1.0+INT")]
        assert found == ([effect] if effect is not None else [])


@pytest.mark.parametrize(("spec", "moved"), [("TOSA-1.0+INT", False), ("TOSA-1.0+INT+FP", True)])
def test_a_permute_is_split_where_every_reader_lets_it_pass(spec: str, moved: bool) -> None:
    """conv(x) and 1 - conv(x) as outputs (drawn): the DQ of an output is in a delegate with float support alone."""
    b = GraphBuilder()
    qparams = int8(0.0487, 3)
    weight = b.quantized_constant("weight", (4, 4, 1, 1), 0.0103)
    value = b.call("aten.conv2d.default", b.quantized_input("x", SHAPE, qparams), weight, None)
    value = b.requantize(value, qparams)
    one = b.dequantize(b.constant("one", (1, 1, 1, 1)), int8(0.0079))
    graph = b.output(value, b.requantize(b.call("aten.sub.Tensor", one, value, shape=SHAPE), qparams))
    assert bool(find(PermuteLandsOnScalar(), graph, "1.5.1", spec)) is moved


@pytest.mark.parametrize(
    ("shape", "found"),
    [((1, 8, 1, 1), 0), ((1, 1, 1, 1), 0), ((1, 8, 1, 3), 1)],
)
def test_a_permute_that_reorders_nothing_is_no_fault(shape: tuple[int, ...], found: int) -> None:
    """The lowerings of 1 - x with one size that is not 1, read by a permute, conv2d or cat, are exact on 1.5.1."""
    b = GraphBuilder()
    qparams = int8(0.05, 3)
    x = b.quantized_input("x", shape, qparams)
    number = b.dequantize(b.constant("number", (1, 1, 1, 1)), int8(0.008))
    value = b.requantize(b.call("aten.sub.Tensor", number, x, shape=shape), qparams)
    moved = (shape[0], shape[2], shape[3], shape[1])
    graph = b.output(b.requantize(b.call("aten.permute.default", value, (0, 2, 3, 1), shape=moved), qparams))
    assert len(find(PermuteLandsOnScalar(), graph, "1.5.1", "TOSA-1.0+INT")) == found


@pytest.mark.parametrize(("twice", "found"), [(True, 1), (False, 0)], ids=["of one value", "of two values"])
def test_a_permute_moves_down_through_a_maximum_of_one_value(twice: bool, found: int) -> None:
    """-2 - maximum(y, y) of a permuted y is wrong by up to 75 steps on 1.5.1 (campaign program 61); with z it is exact.

    Once the DQs are folded, the maximum has one operand. Nothing moves through one of two.
    """
    b = GraphBuilder()
    qparams = int8(0.05, 3)
    x, y = (b.quantized_input(name, (1, 4, 8), qparams) for name in ("x", "y"))
    moved = b.requantize(b.call("aten.permute.default", x, (0, 2, 1), shape=(1, 8, 4)), qparams)
    other = b.requantize(b.call("aten.permute.default", y, (0, 2, 1), shape=(1, 8, 4)), qparams)
    most = b.call("aten.maximum.default", moved, moved if twice else other, shape=(1, 8, 4))
    number = b.dequantize(b.constant("number", (1, 1, 1)), int8(0.008))
    less = b.call("aten.sub.Tensor", number, b.requantize(most, qparams), shape=(1, 8, 4))
    graph = b.output(b.requantize(less, int8(0.06)))
    assert len(find(PermuteLandsOnScalar(), graph, "1.5.1", "TOSA-1.0+INT")) == found


def averaged(batch: int, *after: str, keepdim: bool = False, dims: tuple[int, ...] = (2, 3)) -> Graph:
    """The mean of 1 - conv2d as Arm's quantizer leaves it: a sum, a product and a view, and ``after`` that."""
    b = GraphBuilder()
    qparams, shape = int8(0.05, 3), (batch, 4, 6, 8)
    kept = tuple(1 if place in dims else size for place, size in enumerate(shape))
    flat = tuple(size for place, size in enumerate(shape) if place not in dims)
    weight = b.quantized_constant("weight", (4, 4, 1, 1), 0.0103)
    conv = b.call("aten.conv2d.default", b.quantized_input("x", shape, qparams), weight, None, shape=shape)
    number = b.dequantize(b.constant("number", (1, 1, 1, 1)), int8(0.0079))
    value = b.requantize(b.call("aten.sub.Tensor", number, b.requantize(conv, qparams), shape=shape), qparams)
    value = b.requantize(b.call("aten.sum.dim_IntList", value, dims, True, shape=kept), int8(2.1, 3))
    part = b.dequantize(b.constant("part", (1, 1, 1, 1)), int8(0.0002))
    value = b.requantize(b.call("aten.mul.Tensor", value, part, shape=kept), qparams)
    if not keepdim:
        value = b.requantize(b.call("aten.view.default", value, flat, shape=flat), qparams)
    for op in after:
        operands: tuple[str | None, ...] = (value,)
        if op == "add.Tensor":
            operands = (value, b.quantized_input("y", flat, qparams))
        elif op == "linear.default":
            operands = (value, b.quantized_constant("linear_weight", (flat[-1], flat[-1]), 0.0103), None)
        value = b.requantize(b.call(f"aten.{op}", *operands, shape=flat), qparams)
    return b.output(value)


@pytest.mark.parametrize(
    ("graph", "without", "with_float"),
    [
        (averaged(1), None, Effect.CRASH),
        (averaged(1, "sigmoid.default"), None, Effect.CRASH),
        (averaged(1, "linear.default"), None, None),
        (averaged(1, dims=(1, 2)), None, Effect.CRASH),
        (averaged(2), Effect.CRASH, Effect.CRASH),
        (averaged(2, "linear.default"), Effect.CRASH, Effect.CRASH),
        (averaged(1, "add.Tensor"), Effect.CRASH, Effect.CRASH),
        (averaged(1, dims=(3,)), Effect.CRASH, Effect.CRASH),
        (averaged(1, keepdim=True), Effect.RUNTIME_FAULT, Effect.RUNTIME_FAULT),
    ],
    ids=["batch of 1", "table after it", "linear after it", "other dimensions", "batch of 2", "batch of 2, linear",
         "added to a tensor", "two sizes left", "dimensions kept"],
)  # fmt: skip
def test_a_permute_is_lost_where_the_order_does_not_matter(
    graph: Graph, without: Effect | None, with_float: Effect | None
) -> None:
    """Judged on 1.5.1, as programs of Arm's quantizer: all in INT, and those but the sum with a tensor in INT+FP."""
    for spec, effect in (("TOSA-1.0+INT", without), ("TOSA-1.0+INT+FP", with_float)):
        found = find(PermuteLandsOnScalar(), graph, "1.5.1", spec)
        assert [finding.effect for finding in found] == ([] if effect is None else [effect]), spec
