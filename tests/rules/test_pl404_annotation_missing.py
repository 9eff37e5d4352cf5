"""PL404 where its examples do not reach, torch-free.

Protects: ops left in float on purpose are not reported, and a crash is announced only where lowering crashes.
"""

from __future__ import annotations

import pytest

from fuseguard.engine import Effect, Insert
from fuseguard.ir import Arg, Graph, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target
from fuseguard_rules.placement.pl404_annotation_missing import AnnotationMissing
from fuseguard_testkit.linting import find

SHAPE = (1, 4, 8, 8)
QPARAMS = int8(0.05)


def between(target: str, *rest: Arg, inputs: int = 1, annotated: bool = False, company: bool = False) -> Graph:
    """One op between DQ and Q; ``company``: with an annotated op in the same program."""
    b = GraphBuilder()
    operands = [b.quantized_input(f"x{number}", SHAPE, QPARAMS) for number in range(inputs)]
    outputs = [b.requantize(b.call(target, *operands, *rest, annotated=annotated), QPARAMS)]
    if company:
        outputs.append(b.requantize(b.call("aten.abs.default", b.quantized_input("y", SHAPE, QPARAMS)), QPARAMS))
    return b.output(*outputs)


@pytest.mark.parametrize(
    ("graph", "found"),
    [
        (between("aten.add.Tensor", inputs=2), True),
        (between("aten.add.Tensor", inputs=2, annotated=True), False),
        (between("aten.add.Tensor", inputs=2, company=True), False),
        (between("aten.relu6.default", company=True), False),
        (between("aten.special_bessel_j0.default"), False),
    ],
    ids=["foreign", "annotated", "one op in float", "relu6 is never annotated", "an op the backend does not know"],
)
def test_a_single_op_without_the_mark_may_be_meant(graph: Graph, found: bool) -> None:
    assert bool(find(AnnotationMissing(), graph)) == found


@pytest.mark.parametrize("quantized", [True, False])
def test_a_quantized_weight_tells_a_lost_mark_from_a_convolution_in_float(quantized: bool) -> None:
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, QPARAMS)
    x = b.requantize(b.call("aten.abs.default", x), QPARAMS)
    weights = (4, 4, 3, 3)
    weight = b.quantized_constant("w", weights) if quantized else b.constant("w", weights, "float32")
    value = b.call("aten.conv2d.default", x, weight, None, (1, 1), (1, 1), shape=SHAPE, annotated=False)
    graph = b.output(b.requantize(b.call("aten.relu.default", value, annotated=False), QPARAMS))
    findings = find(AnnotationMissing(), graph)
    assert [finding.nodes for finding in findings] == ([("conv2d",)] if quantized else [])
    if quantized:
        assert findings[0].effect is Effect.CRASH
        assert "relu" in findings[0].cluster
        assert find(AnnotationMissing(), graph, "TOSA-1.0+INT")[0].effect is Effect.CPU_FALLBACK


@pytest.mark.parametrize(
    ("title", "effect"),
    [
        ("conv2d that lost its annotation", Effect.CRASH),
        ("conv2d with relu that lost its annotation, between others", Effect.CRASH),
        ("conv_transpose2d that lost its annotation", Effect.EXACT),
        ("grouped conv2d that lost its annotation", Effect.EXACT),
        ("conv2d that lost its annotation, read in float as well", Effect.EXACT),
        ("linear that lost its annotation", Effect.EXACT),
    ],
)
@pytest.mark.parametrize("release", ["1.4.1", "1.5.1"])
def test_a_crash_is_announced_only_where_the_scale_is_folded_into_the_weight(
    title: str, effect: Effect, release: str
) -> None:
    """FoldScalarMulIntoConvPass takes a plain convolution with one reader, and nothing else."""
    (example,) = (item for item in AnnotationMissing.bad if item.title == title)
    (finding,) = find(AnnotationMissing(), example.graph(), release=release)
    assert finding.effect is effect
    (finding,) = find(AnnotationMissing(), example.graph(), release="1.3.1")
    assert finding.effect is Effect.EXACT


@pytest.mark.parametrize(("release", "effect"), [("1.4.1", Effect.EXACT), ("1.5.1", Effect.CRASH)])
def test_a_conv1d_is_a_conv2d_between_views_before_1_5(release: str, effect: Effect) -> None:
    (example,) = (item for item in AnnotationMissing.bad if item.title == "conv1d that lost its annotation")
    (finding,) = find(AnnotationMissing(), example.graph(), release=release)
    assert finding.effect is effect


def test_a_weight_is_known_without_its_label_and_a_bias_may_be_in_float() -> None:
    """So the plug-in sees a program: parameters are placeholders like any other."""
    b = GraphBuilder("edge")
    x = b.requantize(b.call("aten.abs.default", b.quantized_input("x", SHAPE, QPARAMS)), QPARAMS)
    weight = b.dequantize(b.input("w", (4, 4, 3, 3), "int8"), QPARAMS)
    bias = b.input("bias", (4,))
    rest: tuple[Arg, ...] = ((1, 1), (1, 1), (1, 1), False, (0, 0), 1)
    value = b.call("aten.convolution.default", x, weight, bias, *rest, shape=SHAPE, annotated=False)
    assert len(find(AnnotationMissing(), b.output(b.requantize(value, QPARAMS)))) == 1


def _left_in_float(target: str, *, before: str = "dq", after: str = "q") -> Graph:
    """An op that is lowered as a lookup table alone, left in float in a program that is annotated otherwise."""
    b = GraphBuilder()
    value = b.call("aten.abs.default", b.quantized_input("x", SHAPE, QPARAMS))
    value = b.requantize(value, QPARAMS)
    value = value if before == "dq" else b.call("aten.relu.default", value, annotated=False)
    value = b.call(target, value, annotated=False)
    if after == "nothing":
        return b.output(value)
    outputs = [b.requantize(value, QPARAMS)]
    if after == "two q":
        outputs.append(b.requantize(value, int8(0.03)))
    return b.output(*outputs, *([value] if after == "q and float" else []))


@pytest.mark.parametrize("target", ["aten.hardswish.default", "aten.hardsigmoid.default", "aten.hardswish_.default"])
@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ("dq", "q", True),
        ("dq", "two q", True),
        ("dq", "q and float", False),
        ("dq", "nothing", False),
        ("relu", "q", False),
    ],
)
def test_a_table_in_float_is_kept_whole_only_between_dq_and_nothing_but_q(
    target: str, before: str, after: str, found: bool
) -> None:
    """ops_to_not_decompose asks for all inputs and all users; otherwise, the edge dialect decomposes the op."""
    graph = _left_in_float(target, before=before, after=after)
    effects = [finding.effect for finding in find(AnnotationMissing(), graph)]
    assert effects == ([Effect.CRASH] if found else [])
    assert not found or find(AnnotationMissing(), graph, "TOSA-1.0+INT")[0].effect is Effect.CPU_FALLBACK


@pytest.mark.parametrize("target", ["aten.silu.default", "aten.sigmoid.default", "aten.linear.default"])
def test_an_op_that_has_a_form_in_float_may_be_left_in_float(target: str) -> None:
    """silu is kept whole, too, but the list of float ops does not have it: it stays on the CPU."""
    if target == "aten.linear.default":
        b = GraphBuilder()
        x = b.requantize(b.call("aten.abs.default", b.quantized_input("x", (4, 8), QPARAMS)), QPARAMS)
        value = b.call(target, x, b.constant("w", (8, 8), "float32"), annotated=False)
        graph = b.output(b.requantize(value, QPARAMS))
    else:
        graph = _left_in_float(target)
    assert not find(AnnotationMissing(), graph)


def test_the_repair_reads_an_op_that_is_kept_whole_through_a_clone() -> None:
    graph = _left_in_float("aten.hardswish.default", after="two q")
    rule = AnnotationMissing()
    (finding,) = find(rule, graph)
    rewrite = rule.repair(View(graph), Target.parse("TOSA-1.0+INT+FP"), finding)
    assert rewrite is not None
    assert rewrite.exact
    (insert,) = rewrite.edits
    assert isinstance(insert, Insert)
    assert insert.value == finding.nodes[0]
    assert set(insert.users) == {user.name for user in View(graph).users(graph[insert.value])}


def test_a_product_of_two_activations_has_no_weight_to_tell_by() -> None:
    assert not find(AnnotationMissing(), between("aten.matmul.default", inputs=2, company=True))
    (finding,) = find(AnnotationMissing(), between("aten.matmul.default", inputs=2))
    assert finding.effect is Effect.EXACT


def test_ops_in_float_one_after_the_other_are_no_quantized_ops() -> None:
    """A program with quantized inputs and outputs and nothing else: neither op has both DQ and Q."""
    b = GraphBuilder()
    value = b.call("aten.exp.default", b.quantized_input("x", SHAPE, QPARAMS), annotated=False)
    assert not find(
        AnnotationMissing(), b.output(b.requantize(b.call("aten.log.default", value, annotated=False), QPARAMS))
    )


def test_a_decomposed_linear_is_found_by_the_weight_after_its_permute() -> None:
    b = GraphBuilder("edge")
    weight = b.call("aten.permute_copy.default", b.quantized_constant("weight", (8, 8)), (1, 0), annotated=False)
    x = b.quantized_input("x", (4, 8), QPARAMS)
    other = b.requantize(b.call("aten.abs.default", b.quantized_input("y", SHAPE, QPARAMS)), QPARAMS)
    value = b.call("aten.addmm.default", b.constant("bias", (8,), "float32"), x, weight, shape=(4, 8), annotated=False)
    (finding,) = find(AnnotationMissing(), b.output(b.requantize(value, QPARAMS), other))
    assert finding.nodes == ("addmm",)
