"""BO601 where its examples do not reach, torch-free.

Protects: that a fully quantized program and one whose halves share a fate are left alone, and that the whole split is
refused.
"""

from __future__ import annotations

import pytest

from fuseguard.engine import Call, Effect, Finding, Pair
from fuseguard.ir import Graph, Trait, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.graph import Arg
from fuseguard.target import Target
from fuseguard_rules.boundary.bo601_float_tail_leaves_delegate import FloatTailLeavesDelegate

TARGET = Target.parse("TOSA-1.0+INT", "1.5.1")
QPARAMS = int8(0.0487, 3)


def check(graph: Graph, target: Target = TARGET) -> list[Finding]:
    return list(FloatTailLeavesDelegate().check(View(graph), target))


def split(b: GraphBuilder) -> list[str]:
    halves = b.call("aten.split.Tensor", b.quantized_input("x", (1, 8, 4, 4), QPARAMS), 4, 1)
    parts = [b.call("operator.getitem", halves, part, shape=(1, 4, 4, 4)) for part in (0, 1)]
    return [b.requantize(part, QPARAMS) for part in parts]


def test_the_split_and_all_its_parts_are_refused() -> None:
    b = GraphBuilder()
    first, second = split(b)
    slow = b.requantize(b.call("aten.exp.default", first, annotated=False), QPARAMS)
    (finding,) = check(b.output(slow, b.requantize(b.call("aten.tanh.default", second), QPARAMS)))
    assert {"split", "getitem", "getitem_1"} <= set(finding.cluster)
    assert finding.effect is Effect.RUNTIME_FAULT


def test_a_half_that_ends_in_float_on_the_cpu_is_no_fault() -> None:
    """Nothing comes back to the accelerator, so the partitions need not part."""
    b = GraphBuilder()
    first, second = split(b)
    slow = b.call("aten.exp.default", first, annotated=False)
    assert check(b.output(slow, b.requantize(b.call("aten.tanh.default", second), QPARAMS))) == []


def test_an_annotated_op_whose_output_is_not_quantized_counts_as_float() -> None:
    """What PT2E makes of a submodule that is left out: exp is annotated, and its result goes on in float."""
    b = GraphBuilder()
    first, second = split(b)
    slow = b.requantize(b.call("aten.mul.Tensor", b.call("aten.exp.default", first), first), QPARAMS)
    assert len(check(b.output(slow, b.requantize(b.call("aten.tanh.default", second), QPARAMS)))) == 1


def test_an_op_that_the_backend_does_not_know_stays_on_the_cpu() -> None:
    b = GraphBuilder()
    first, second = split(b)
    slow = b.requantize(b.call("aten.special_bessel_j0.default", first), QPARAMS)
    assert len(check(b.output(slow, b.requantize(b.call("aten.tanh.default", second), QPARAMS)))) == 1


def test_a_convolution_with_its_activation_is_no_float_op() -> None:
    """The activation owns the output qparams; the pair is delegated."""
    b = GraphBuilder()
    first, second = split(b)
    weight = b.quantized_constant("weight", (4, 4, 1, 1))
    relu = b.call("aten.relu.default", b.call("aten.conv2d.default", first, weight, shape=(1, 4, 4, 4)))
    assert check(b.output(b.requantize(relu, int8(0.02, -128)), second)) == []


def test_unbind_and_tensor_split_become_slices_and_are_no_fault() -> None:
    """Judged exact on every release: in the edge dialect no op with several outputs is left of them."""
    for target, arguments in (("aten.unbind.int", (1,)), ("aten.tensor_split.sections", (2, 1))):
        b = GraphBuilder()
        parts = b.call(target, b.quantized_input("x", (1, 2, 4, 4), QPARAMS), *arguments)
        first, second = (b.requantize(b.call("operator.getitem", parts, n, shape=(1, 4, 4)), QPARAMS) for n in (0, 1))
        slow = b.requantize(b.call("aten.exp.default", first, annotated=False), QPARAMS)
        assert check(b.output(slow, b.requantize(b.call("aten.tanh.default", second), QPARAMS))) == []


def torn(target: str, *arguments: Arg, shape: tuple[int | None, ...] = (1, 8, 4, 4), quantized: bool = True) -> Graph:
    """The first part goes through the CPU and back, the others stay; ``quantized``: the first one ends in a Q."""
    b = GraphBuilder()
    parts = b.call(target, b.quantized_input("x", shape, QPARAMS), *arguments)
    first, second = (b.call("operator.getitem", parts, number, shape=(1, 4, 4, 4)) for number in (0, 1))
    slow = b.call("aten.exp.default", b.requantize(first, QPARAMS), annotated=False)
    rest = () if quantized else (first,)
    return b.output(b.requantize(slow, QPARAMS), b.requantize(second, QPARAMS), *rest)


def slices(graph: Graph) -> list[tuple[Arg, ...]] | None:
    """The arguments of the slices that the repair puts in place of the parts."""
    (finding,) = check(graph)
    rewrite = FloatTailLeavesDelegate().repair(View(graph), TARGET, finding)
    if rewrite is None:
        return None
    assert rewrite.exact
    calls = [step for edit in rewrite.edits for step in edit.steps if isinstance(step, Call)]
    assert {call.target for call in calls} == {"aten.slice.Tensor"}
    return [call.args for call in calls]


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (torn("aten.split.Tensor", 4, 1), [(1, 0, 4), (1, 4, 8)]),
        (torn("aten.split.Tensor", 5, 1), [(1, 0, 5), (1, 5, 8)]),  # the last part is what is left
        (torn("aten.split.Tensor", 3, -1, shape=(1, 8, 4, 5)), [(-1, 0, 3), (-1, 3, 5)]),
        (torn("aten.split.Tensor", 1, shape=(2, 8, 4, 4)), [(0, 0, 1), (0, 1, 2)]),  # dim is 0 unless given
        (torn("aten.split_with_sizes.default", (3, 5), 1), [(1, 0, 3), (1, 3, 8)]),
        (torn("aten.chunk.default", 3, 1), [(1, 0, 3), (1, 3, 6)]),  # 3, 3 and 2 channels
        (torn("aten.chunk.default", 2, 1, shape=(1, 7, 4, 4)), [(1, 0, 4), (1, 4, 7)]),
        (torn("aten.split.Tensor", 4, 1, shape=(1, None, 4, 4)), None),  # a symbolic size
        (torn("aten.split_with_sizes.default", (3,), 1), None),  # a malformed file
        (torn("aten.split.Tensor", 0, 1), None),
        (torn("aten.split.Tensor", 4, 7), None),
    ],
)
def test_slices_are_cut_where_the_split_cuts(graph: Graph, expected: list[tuple[Arg, ...]] | None) -> None:
    assert slices(graph) == expected


def test_a_part_that_is_read_as_float_ends_in_a_pair_of_the_splits_own_qparams() -> None:
    graph = torn("aten.split.Tensor", 4, 1, quantized=False)
    (finding,) = check(graph)
    rewrite = FloatTailLeavesDelegate().repair(View(graph), TARGET, finding)
    assert rewrite is not None
    assert [edit.steps[1:] for edit in rewrite.edits] == [(Pair(QPARAMS),), ()]


def test_where_q_and_dq_are_lowered_it_is_a_note_unless_the_backend_has_no_such_op() -> None:
    for example in FloatTailLeavesDelegate.bad:
        findings = check(example.graph(), Target.parse("TOSA-1.0+INT+FP", "1.2.0"))
        unknown = any(word in example.title for word in ("indexed", "flipped", "only float has"))
        assert [item.effect for item in findings] == [Effect.RUNTIME_FAULT if unknown else Effect.EXACT]


def test_a_flip_stays_on_the_cpu_before_1_4() -> None:
    (example,) = (example for example in FloatTailLeavesDelegate.bad if "flipped" in example.title)
    assert check(example.graph(), Target.parse("TOSA-1.0+INT", "1.3.1"))
    assert not check(example.graph(), Target.parse("TOSA-1.0+INT", "1.4.1"))


@pytest.mark.parametrize("target", ["aten.cumsum.default", "aten.to.dtype", "aten.prod.dim_int"])
def test_an_op_that_the_backend_has_is_not_taken_for_the_cpu(target: str) -> None:
    """The op table has only what rules ask about; with float support more is delegated than that."""
    b = GraphBuilder()
    parts = b.call("aten.split.Tensor", b.quantized_input("x", (1, 8, 4, 4), QPARAMS), 4, 1)
    first, second = (b.call("operator.getitem", parts, number, shape=(1, 4, 4, 4)) for number in (0, 1))
    value = b.call(target, b.requantize(first, QPARAMS), 1, shape=(1, 4, 4, 4), annotated=False)
    graph = b.output(b.requantize(value, QPARAMS), b.requantize(second, QPARAMS))
    (finding,) = check(graph, Target.parse("TOSA-1.0+INT+FP", "1.5.1"))
    assert finding.effect is Effect.EXACT
    (finding,) = check(graph, Target.parse("TOSA-1.0+INT+FP", "1.4.1"))
    assert finding.effect is (Effect.RUNTIME_FAULT if "prod" in target else Effect.EXACT)


@pytest.mark.parametrize("reader", [True, False])
def test_a_split_is_refused_with_a_requantization_of_one_half(reader: bool) -> None:
    """A Q right after a DQ is an op of its own: without it the way of one half leads through the CPU and back."""
    b = GraphBuilder()
    first, second = split(b)
    narrow = b.requantize(first, int8(0.031, 7))
    if reader:
        narrow = b.requantize(b.call("aten.tanh.default", narrow), QPARAMS)
    view = View(b.output(narrow, second))
    (between,) = (q for q in view.calls(Trait.QUANTIZE) if view.is_dq(view.graph.inputs(q)[0]))
    exposed = {node.name for node, _ in FloatTailLeavesDelegate().exposed(view, TARGET, frozenset({between.name}))}
    assert exposed == {"split", "getitem", "getitem_1"}


def test_a_half_that_ends_in_a_refused_requantization_does_not_part_the_split() -> None:
    """Nothing comes back to the accelerator: the dequantize op after it is refused as well."""
    b = GraphBuilder()
    first, second = split(b)
    end = b.requantize(first, int8(0.031, 7))
    view = View(b.output(end, second))
    refused = frozenset({end, view.graph.inputs(view.graph[end])[0].name})
    assert not list(FloatTailLeavesDelegate().exposed(view, TARGET, refused))


@pytest.mark.parametrize(("spec", "exposed"), [("TOSA-1.0+INT", False), ("TOSA-1.0+INT+FP", True)])
def test_a_float_op_that_a_delegate_computes_keeps_its_half_on_the_accelerator(spec: str, exposed: bool) -> None:
    """Without float support, both halves of the split go through the CPU once the abs is refused."""
    b = GraphBuilder()
    first, second = split(b)
    refused = b.call("aten.abs.default", first)
    floats = b.call("aten.relu6.default", second, annotated=False)
    ends = [b.requantize(b.call("aten.exp.default", b.requantize(end, QPARAMS)), QPARAMS) for end in (refused, floats)]
    view = View(b.output(*ends))
    found = FloatTailLeavesDelegate().exposed(view, Target.parse(spec, "1.5.1"), frozenset({refused}))
    assert {node.name for node, _ in found} == ({"split", "getitem", "getitem_1"} if exposed else set())
