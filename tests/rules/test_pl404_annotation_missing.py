"""PL404 where its examples do not reach, torch-free.

Protects: ops left in float on purpose are not reported, and a crash is announced only where lowering crashes.
"""

from __future__ import annotations

import pytest

from fuseguard.engine import Effect
from fuseguard.ir import Arg, Graph
from fuseguard.ir.builder import GraphBuilder, int8
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
