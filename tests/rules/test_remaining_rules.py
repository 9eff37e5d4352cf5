"""Boundary cases of PL404, PL405, OP704, BO602 and BO603, torch-free.

Protects: ops left in float on purpose and integer ops that work are not reported, and a partition that the partitioner
would not make is no cycle.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from fuseguard.engine import VALUE, Call, Effect, Finding, Insert, Pair, Rule, run
from fuseguard.ir import Arg, Graph, QParams, Ref, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target
from fuseguard_rules.boundary.bo602_partition_cycle import PartitionCycle
from fuseguard_rules.boundary.bo603_control_flow_qparams_disagree import ControlFlowBoundary
from fuseguard_rules.examples.boundary import control_flow_graphs as control_flow
from fuseguard_rules.operator.op704_constant_cat_folded_wrong import ConstantCatFolded
from fuseguard_rules.placement.pl404_annotation_missing import AnnotationMissing
from fuseguard_rules.placement.pl405_raw_integers_taken_for_quantized import RawInteger

SHAPE = (1, 4, 8, 8)
QPARAMS = int8(0.05)


def find(rule: Rule, graph: Graph, spec: str = "TOSA-1.0+INT+FP", release: str = "1.5.1") -> tuple[Finding, ...]:
    report = run(graph, Target.parse(spec, release), [rule])
    assert not report.failures
    return report.findings


# --- PL404 ------------------------------------------------------------------------------------------------------------


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


def test_ops_in_float_one_behind_the_other_are_no_quantized_ops() -> None:
    """A program with quantized inputs and outputs and nothing else: neither op has both DQ and Q."""
    b = GraphBuilder()
    value = b.call("aten.exp.default", b.quantized_input("x", SHAPE, QPARAMS), annotated=False)
    assert not find(
        AnnotationMissing(), b.output(b.requantize(b.call("aten.log.default", value, annotated=False), QPARAMS))
    )


def test_a_decomposed_linear_is_found_by_the_weight_behind_its_permute() -> None:
    b = GraphBuilder("edge")
    weight = b.call("aten.permute_copy.default", b.quantized_constant("weight", (8, 8)), (1, 0), annotated=False)
    x = b.quantized_input("x", (4, 8), QPARAMS)
    other = b.requantize(b.call("aten.abs.default", b.quantized_input("y", SHAPE, QPARAMS)), QPARAMS)
    value = b.call("aten.addmm.default", b.constant("bias", (8,), "float32"), x, weight, shape=(4, 8), annotated=False)
    (finding,) = find(AnnotationMissing(), b.output(b.requantize(value, QPARAMS), other))
    assert finding.nodes == ("addmm",)


# --- PL405 ------------------------------------------------------------------------------------------------------------


def raw(target: str, *dtypes: str, rest: tuple[Arg, ...] = (), result: str = "int8") -> Graph:
    b = GraphBuilder()
    inputs = [b.input(f"x{number}", SHAPE, dtype) for number, dtype in enumerate(dtypes)]
    return b.output(b.call(target, *inputs, *rest, dtype=result, annotated=False))


@pytest.mark.parametrize(
    ("graph", "found"),
    [
        (raw("aten.add.Tensor", "int8", "int8"), True),
        (raw("aten.add.Tensor", "int8", rest=(3,)), True),
        (raw("aten.add.Tensor", "int16", "int16", result="int16"), True),
        (raw("aten.add.Tensor", "int32", "int32", result="int32"), False),
        (raw("aten.add.Tensor", "int8", "int32", result="int32"), False),
        (raw("aten.mul.Tensor", "int8", rest=(0.5,), result="float32"), False),
        (raw("aten.eq.Tensor", "int8", "int8", result="bool"), True),
        (raw("aten.eq.Tensor", "int32", "int32", result="bool"), False),
        (raw("aten.ne.Tensor", "int8", "int8", result="bool"), False),
        (raw("aten.eq.Tensor", "float32", "float32", result="bool"), False),
        (raw("aten.neg.default", "int8"), True),
        (raw("aten.neg.default", "int16", result="int16"), False),
        (raw("aten.sigmoid.default", "int8", result="float32"), True),
        (raw("aten.sigmoid.default", "float32", result="float32"), False),
        (raw("aten.clamp.default", "int8", rest=(-5, 5)), False),
        (raw("aten.max_pool2d.default", "int8", rest=((2, 2), (2, 2))), False),
    ],
)
def test_only_what_lowering_has_no_integer_form_for_is_reported(graph: Graph, found: bool) -> None:
    assert bool(find(RawInteger(), graph)) == found


def test_quantized_values_are_no_raw_integers() -> None:
    """A DQ reads int8 as well, also from an input that is int8 already."""
    b = GraphBuilder()
    value = b.call("aten.neg.default", b.dequantize(b.input("x", SHAPE, "int8"), QPARAMS))
    assert not find(RawInteger(), b.output(b.requantize(value, QPARAMS)))


# --- OP704 ------------------------------------------------------------------------------------------------------------


def joined(*parts: str, target: str = "aten.cat.default", annotated: bool = True) -> Graph:
    b = GraphBuilder()
    values = []
    for number, part in enumerate(parts):
        if part == "constant":
            values.append(b.dequantize(b.constant(f"c{number}", SHAPE), QPARAMS))
        elif part == "float":
            values.append(b.constant(f"c{number}", SHAPE, "float32"))
        else:
            values.append(b.quantized_input(f"x{number}", SHAPE, QPARAMS))
    return b.output(b.requantize(b.call(target, tuple(values), 1, annotated=annotated), QPARAMS))


@pytest.mark.parametrize(
    ("graph", "release", "found"),
    [
        (joined("constant", "constant"), "1.2.0", True),
        (joined("constant", "constant", target="aten.stack.default"), "1.2.0", True),
        (joined("constant", "constant"), "1.3.1", False),
        (joined("constant"), "1.2.0", False),
        (joined("constant", "input"), "1.2.0", False),
        (joined("float", "float"), "1.2.0", False),
        (joined("constant", "constant", annotated=False), "1.2.0", False),
    ],
)
def test_only_constants_joined_by_an_old_release_are_folded_wrong(graph: Graph, release: str, found: bool) -> None:
    assert bool(find(ConstantCatFolded(), graph, release=release)) == found


def cat_of(*members: str, b: GraphBuilder) -> Graph:
    return b.output(b.requantize(b.call("aten.cat.default", members, 1, shape=(1, 4 * len(members), 8, 8)), QPARAMS))


@pytest.mark.parametrize(
    ("target", "arguments", "found"),
    [
        ("aten.permute.default", ((0, 1, 3, 2),), True),
        ("aten.tanh.default", (), True),
        ("aten.split.Tensor", (4, 1), True),
        ("aten.abs.default", (), False),  # RESCALEs stand around it
    ],
)
def test_what_is_folded_before_the_cat_is_a_constant_to_it(
    target: str, arguments: tuple[Arg, ...], found: bool
) -> None:
    b = GraphBuilder()
    value = b.call(target, b.dequantize(b.constant("c0", SHAPE), QPARAMS), *arguments, shape=SHAPE)
    if "split" in target:
        value = b.call("operator.getitem", value, 0, shape=SHAPE)
    other = b.dequantize(b.constant("c1", SHAPE), QPARAMS)
    assert bool(find(ConstantCatFolded(), cat_of(b.requantize(value, QPARAMS), other, b=b), release="1.2.0")) == found


def test_one_constant_read_twice_is_folded_right() -> None:
    """The pass goes by the first place of a node among the inputs, and both members are the same node by then."""
    b = GraphBuilder()
    codes = b.constant("c0", SHAPE)
    assert not find(ConstantCatFolded(), cat_of(*(b.dequantize(codes, QPARAMS) for _ in "xy"), b=b), release="1.2.0")


@pytest.mark.parametrize("annotated", [True, False])
def test_what_comes_of_floats_is_a_constant_where_floats_are_lowered(annotated: bool) -> None:
    """The guard refuses it on every profile alike, as it does everything that breaks on one of them."""
    b = GraphBuilder()
    values = [b.constant(f"c{number}", SHAPE, "float32") for number in (0, 1)]
    values = [b.requantize(b.call("aten.view.default", value, SHAPE, annotated=annotated), QPARAMS) for value in values]
    graph = cat_of(*values, b=b)
    effects = {}
    for spec in ("TOSA-1.0+INT", "TOSA-1.0+INT+FP"):
        (finding,) = find(ConstantCatFolded(), graph, spec, "1.2.0")
        effects[spec] = finding.effect
        assert finding.refuse
        assert "view, view_1" in finding.message
    assert effects == {"TOSA-1.0+INT": Effect.EXACT, "TOSA-1.0+INT+FP": Effect.WRONG}


def test_the_smallest_member_is_made_no_constant() -> None:
    b = GraphBuilder()
    large, small = (
        b.dequantize(b.constant(f"c{number}", (1, size, 8, 8)), qparams)
        for number, (size, qparams) in enumerate(((4, QPARAMS), (2, int8(0.031, 7))))
    )
    graph = cat_of(large, small, b=b)
    (finding,) = find(ConstantCatFolded(), graph, release="1.2.0")
    assert finding.repairable
    rewrite = ConstantCatFolded().repair(View(graph), Target.parse("TOSA-1.0+INT", "1.2.0"), finding)
    assert rewrite is not None
    (edit,) = rewrite.edits
    assert edit == Insert(small, ("cat",), (Call("aten.maximum.default", (VALUE,)), Pair(int8(0.031, 7))))


def test_codes_that_the_backend_has_no_maximum_for_are_not_repaired() -> None:
    b = GraphBuilder()
    qparams = QParams.per_tensor(0.05, 128, 0, 255, "uint8")
    members = (b.dequantize(b.constant(name, SHAPE, "uint8"), qparams) for name in ("c0", "c1"))
    (finding,) = find(ConstantCatFolded(), cat_of(*members, b=b), release="1.2.0")
    assert not finding.repairable


def test_the_plug_ins_graph_does_not_label_constants() -> None:
    """An edge graph without its signature: the cat must be refused there as well."""
    b = GraphBuilder("edge")
    codes = tuple(b.dequantize(b.input(name, SHAPE, "int8"), QPARAMS) for name in "xy")
    graph = b.output(b.requantize(b.call("aten.cat.default", codes, 1), QPARAMS))
    assert find(ConstantCatFolded(), graph, release="1.2.0")
    b = GraphBuilder("edge")
    values = tuple(b.quantized_input(name, SHAPE, QPARAMS) for name in "xy")
    graph = b.output(b.requantize(b.call("aten.cat.default", values, 1), QPARAMS))
    assert not find(ConstantCatFolded(), graph, release="1.2.0")


def test_the_view_that_a_stack_leaves_behind_its_cat_is_refused_with_it() -> None:
    """Left on the accelerator it would be given floats for codes, and lowering dies (seen on 1.2.0, INT+FP)."""
    b = GraphBuilder("edge")
    codes = tuple(b.dequantize(b.input(name, SHAPE, "int8"), QPARAMS) for name in "xy")
    joint = b.call("aten.cat.default", codes, 1, shape=(1, 8, 8, 8))
    graph = b.output(b.requantize(b.call("aten.view_copy.default", joint, (1, 2, 4, 8, 8)), QPARAMS))
    (finding,) = find(ConstantCatFolded(), graph, release="1.2.0")
    assert finding.nodes == ("cat", "view_copy")


# --- BO602 ------------------------------------------------------------------------------------------------------------


def shared(*, before: bool = True, rejoin: bool = False, both_fast: bool = False, early: bool = False) -> Graph:
    """tanh -> DQ -> sigmoid -> abs, with exp on the CPU reading the same DQ."""
    b = GraphBuilder()
    value = b.quantized_input("x", SHAPE, QPARAMS)
    if early:
        value = b.requantize(b.call("aten.exp.default", value, annotated=False), QPARAMS)
    if before:
        value = b.requantize(b.call("aten.tanh.default", value), QPARAMS)
    slow = b.call("aten.exp.default", value, annotated=both_fast)
    value = b.requantize(b.call("aten.sigmoid.default", value), QPARAMS)
    value = b.requantize(b.call("aten.abs.default", value), QPARAMS)
    slow = b.requantize(slow, QPARAMS)
    if rejoin:
        return b.output(b.requantize(b.call("aten.add.Tensor", value, slow), QPARAMS))
    return b.output(value, slow)


@pytest.mark.parametrize(
    ("graph", "found"),
    [
        (shared(), True),
        (shared(early=True), True),
        (shared(before=False), False),
        (shared(rejoin=True), False),
        (shared(both_fast=True), False),
    ],
    ids=["cycle", "behind another op on the CPU", "nothing in front", "in a partition with what waits", "no op on CPU"],
)
def test_a_cycle_takes_one_partition_on_both_sides(graph: Graph, found: bool) -> None:
    assert bool(find(PartitionCycle(), graph, "TOSA-1.0+INT", "1.2.0")) == found


def test_the_op_in_the_middle_is_refused_with_all_that_share_its_dq() -> None:
    (finding,) = find(PartitionCycle(), shared(), "TOSA-1.0+INT", "1.2.0")
    assert {"sigmoid", "exp"} <= set(finding.cluster)
    assert finding.effect is Effect.CRASH
    (finding,) = find(PartitionCycle(), shared(), "TOSA-1.0+INT", "1.5.1")
    assert finding.effect is Effect.CPU_FALLBACK


# --- BO603 ------------------------------------------------------------------------------------------------------------

CF = "TOSA-1.0+INT+FP+cf"


def with_body(graph: Graph, name: str, body: Graph) -> Graph:
    named = Graph(list(body), name=name)
    return Graph(list(graph), subgraphs={**graph.subgraphs, name: named})


def identity(*, used: bool) -> Graph:
    """A branch that gives back its first operand, quantized; the second is looked at or not."""
    b = GraphBuilder()
    x, y = b.input("arg0", (2, 4, 4)), b.input("arg1", (2, 4, 4))
    value = b.requantize(x, control_flow.FIRST)
    if used:
        value = b.call("aten.add.Tensor", value, b.requantize(y, control_flow.FINE))
    return b.output(b.requantize(value, control_flow.COARSE))


@pytest.mark.parametrize("used", [True, False])
def test_an_operand_that_no_branch_reads_may_be_anything(used: bool) -> None:
    graph = control_flow.cond(control_flow.FINE)()
    for name in graph.subgraphs:
        graph = with_body(graph, name, identity(used=used))
    assert len(find(ControlFlowBoundary(), graph, CF)) == used


def test_branches_may_use_other_qparams_than_the_operands_and_results() -> None:
    """The backend puts a RESCALE at each entry and exit."""
    graph = control_flow.cond()()
    b = GraphBuilder()
    x, y = (b.requantize(b.input(f"arg{number}", (2, 4, 4)), control_flow.FINE) for number in (0, 1))
    body = b.output(b.requantize(b.call("aten.add.Tensor", x, y), control_flow.FINE))
    assert not find(ControlFlowBoundary(), with_body(graph, "true_graph_0", body), CF)


def test_without_the_extension_control_flow_stays_on_the_cpu() -> None:
    graph = control_flow.cond(control_flow.FINE)()
    assert find(ControlFlowBoundary(), graph, CF)
    assert not find(ControlFlowBoundary(), graph)


def test_a_carried_value_that_nothing_reads_behind_the_loop_goes_round_as_the_body_ends_with_it() -> None:
    """Without a Q behind the loop there is nothing to rescale to."""
    looped = control_flow.loop()()
    first = [node for node in looped if node.name not in ("getitem_1", "quantize_per_tensor_3", "output")]
    kept = [node for node in first if node.name != "dequantize_per_tensor_3"]
    end = replace(looped["output"], args=((Ref("dequantize_per_tensor_2"),),))
    graph = Graph([*kept, end], subgraphs=looped.subgraphs)
    assert not find(ControlFlowBoundary(), graph, CF)
    b = GraphBuilder()
    x, y = (b.requantize(b.input(f"arg{number}", (2, 4, 4)), control_flow.FIRST) for number in (0, 1))
    body = b.output(
        b.requantize(b.call("aten.add.Tensor", x, y), control_flow.FIRST),
        b.requantize(b.call("aten.abs.default", y), control_flow.COARSE),
    )
    (finding,) = find(ControlFlowBoundary(), with_body(graph, "while_body_graph_0", body), CF)
    assert "dequantize_per_tensor_1 comes out of a round" in finding.message


def test_integer_operands_are_no_floats_beside_codes() -> None:
    """A loop's counter is carried along with quantized values."""
    b = GraphBuilder()
    operands = (b.quantized_input("x", (2, 4, 4), control_flow.FIRST), b.input("count", (), "int32"))
    call = b.call("higher_order.cond", b.input("predicate", (), "bool"), "true_graph_0", "false_graph_0", operands)
    graph = b.output(b.requantize(b.call("operator.getitem", call, 0), control_flow.COARSE))
    for name in ("true_graph_0", "false_graph_0"):
        graph = with_body(graph, name, identity(used=True))
    assert not find(ControlFlowBoundary(), graph, CF)


def looped(carried: QParams, behind: QParams | None, entry: QParams = control_flow.FIRST) -> Graph:
    """A loop over x, read outside with FIRST and inside with ``entry``, that each round ends with ``carried``."""
    shape = (2, 4, 4)
    b = GraphBuilder()
    x = b.quantized_input("x", shape, control_flow.FIRST)
    names = ("while_cond_graph_0", "while_body_graph_0")
    call = b.call("higher_order.while_loop", *names, (x,), (), shape=shape)
    value = b.call("operator.getitem", call, 0, shape=shape)
    graph = b.output(value if behind is None else b.requantize(value, behind))
    b = GraphBuilder()
    value = b.requantize(b.input("arg0", shape), entry)
    body = b.output(b.requantize(b.call("aten.abs.default", value, shape=shape), carried))
    b = GraphBuilder()
    b.input("arg0", shape)
    condition = b.output(b.call("aten.full.default", (), True, shape=(), dtype="bool"))
    nodes = [replace(node, subgraphs=names) if node.name == "while_loop" else node for node in graph]
    return with_body(with_body(Graph(nodes), names[0], condition), names[1], body)


@pytest.mark.parametrize(
    ("carried", "behind", "entry", "effect"),
    [
        (control_flow.FIRST, control_flow.FIRST, control_flow.FIRST, None),
        (control_flow.FIRST, None, control_flow.FIRST, None),
        (control_flow.FINER, control_flow.FIRST, control_flow.FIRST, None),
        (control_flow.FINER, control_flow.FIRST, control_flow.FINER, Effect.BOUNDED),
        (control_flow.FINER, None, control_flow.FIRST, Effect.WRONG),
        (control_flow.FIRST, control_flow.COARSE, control_flow.FIRST, Effect.WRONG),
        (control_flow.COARSE, control_flow.COARSE, control_flow.FIRST, Effect.WRONG),
        (control_flow.FIRST, int8(0.05025), control_flow.FIRST, Effect.WRONG),
    ],
)
def test_what_goes_round_is_rounded_or_wrong(
    carried: QParams, behind: QParams | None, entry: QParams, effect: Effect | None
) -> None:
    """A round ends in the codes behind the loop, and the next one reads them as those in front of it: 0.5 % between the
    two shrink the values in every round.
    """
    findings = find(ControlFlowBoundary(), looped(carried, behind, entry), CF)
    assert [finding.effect for finding in findings] == ([] if effect is None else [effect])


def test_qparams_that_a_body_does_not_tell_apart_are_the_same_to_it() -> None:
    """Half a step at the end of the range is less than the body's own steps."""
    near = int8(0.05 * (1 + 1e-6))
    assert not find(ControlFlowBoundary(), control_flow.cond(near)(), CF)
    assert find(ControlFlowBoundary(), control_flow.cond(int8(0.0503))(), CF)


@pytest.mark.parametrize(
    "odd",
    [
        QParams.per_tensor(0.05, 0, -(2**31), 2**31 - 1, "int32"),
        QParams.per_tensor(0.0, 0, -128, 127, "int8"),
        QParams.per_tensor(float("nan"), 0, -128, 127, "int8"),
        QParams.per_tensor(float("inf"), 0, -128, 127, "int8"),
    ],
    ids=["four billion codes", "no scale", "NaN", "infinite"],
)
def test_qparams_that_cannot_be_gone_through_one_by_one_do_not_stop_the_rule(odd: QParams) -> None:
    """Files hold anything."""
    for graph in (
        looped(odd, odd),
        looped(control_flow.FIRST, odd),
        looped(control_flow.FINER, control_flow.FIRST, odd),
        control_flow.cond(odd)(),
        control_flow.cond(control_flow.FINE, odd)(),
    ):
        find(ControlFlowBoundary(), graph, CF)


@pytest.mark.parametrize(("release", "found"), [("1.2.0", True), ("1.3.1", True), ("1.4.1", False), ("1.5.1", False)])
def test_additional_inputs_that_the_body_quantizes_take_a_newer_release(release: str, found: bool) -> None:
    """One that the condition alone reads gets no qparams in the body, and the pass has nothing to stumble over."""
    graph = control_flow.loop(additional=True)()
    findings = find(ControlFlowBoundary(), graph, CF, release)
    assert [finding.effect for finding in findings] == [Effect.CRASH] * found
    b = GraphBuilder()
    x, _ = b.input("arg0", (2, 4, 4)), b.input("arg1", (2, 4, 4))
    value = b.call("aten.abs.default", b.requantize(x, control_flow.FIRST))
    body = b.output(b.requantize(value, control_flow.FIRST))
    assert not find(ControlFlowBoundary(), with_body(graph, "while_body_graph_0", body), CF, release)


def compared(kind: str, constant: str, swapped: bool, *, one_domain: bool = True) -> Graph:
    """The condition of a loop: codes of x from 0 to 127.5 against a ``constant``."""
    b = GraphBuilder()
    sums = int8(0.5, -128)
    x = b.requantize(b.input("arg0", (2, 4, 4)), sums)
    b.input("arg1", (2, 4, 4))
    name, *value = constant.split()
    made = b.call(f"aten.{name}.default", (1,), *map(float, value), shape=(1,))
    bound = b.requantize(made, sums if one_domain else int8(0.25, -128))
    sides = (bound, x) if swapped else (x, bound)
    less = b.call(f"aten.{kind}.Tensor", *sides, shape=(1, 1, 1), dtype="bool")
    return b.output(b.call("aten.squeeze.default", less, shape=(), dtype="bool"))


@pytest.mark.parametrize(
    ("kind", "constant", "swapped", "never"),
    [
        ("gt", "full 127.5", False, True),
        ("gt", "full 300", False, True),  # clamped to 127.5 like x
        ("gt", "full 127", False, False),
        ("lt", "full 0", False, True),
        ("lt", "zeros", False, True),
        ("lt", "ones", False, False),
        ("lt", "full 300", False, False),
        ("gt", "zeros", True, True),
        ("lt", "full 300", True, True),
        ("ge", "full 300", False, False),  # met by what is clamped too
        ("eq", "zeros", False, False),
    ],
)
def test_a_loop_whose_condition_no_code_meets_runs_no_round(
    kind: str, constant: str, swapped: bool, never: bool
) -> None:
    """Arm's own test_while.py has two: calibrated on values that do not enter them, with idle qparams in the body."""
    graph = control_flow.loop(inside=control_flow.COARSE)()
    graph = with_body(graph, "while_cond_graph_0", compared(kind, constant, swapped))
    assert [item.effect for item in find(ControlFlowBoundary(), graph, CF)] == [Effect.WRONG] * (not never)


def test_codes_of_two_domains_are_compared_with_a_rounding_and_prove_nothing() -> None:
    graph = control_flow.loop(inside=control_flow.COARSE)()
    condition = compared("gt", "full 300", False, one_domain=False)
    assert find(ControlFlowBoundary(), with_body(graph, "while_cond_graph_0", condition), CF)


def test_a_loop_that_no_value_enters_crashes_all_the_same_where_lowering_does() -> None:
    graph = control_flow.loop(second=control_flow.FINE, limit=0.0)()
    (finding,) = find(ControlFlowBoundary(), graph, CF, "1.2.0")
    assert finding.effect is Effect.CRASH
    (finding,) = find(ControlFlowBoundary(), graph, CF, "1.5.1")
    assert "comes out as it is" in finding.message  # y is read behind the loop with the first operand's qparams
