"""Edge cases of the placement rules' predicates, torch-free."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from fuseguard.engine import Effect
from fuseguard.ir import Arg, Graph, QParams
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard_rules.examples.placement.anchor_graphs import INPUT, OUTPUT, SHAPE, anchor_graph
from fuseguard_rules.examples.placement.leaked_code_graphs import batched_product
from fuseguard_rules.fusion.fu102_activation_strands_anchor import ActivationStrandsAnchor
from fuseguard_rules.placement.pl401_missing_output_quantize import MissingOutputQ
from fuseguard_rules.placement.pl402_inputs_partly_quantized import PartialInputs
from fuseguard_rules.placement.pl403_anchor_half_quantized import WeightOnly
from fuseguard_rules.qdomain.qd202_value_transparent_requant import ValueTransparentRequant
from fuseguard_testkit.linting import find


def chain(*steps: tuple[str, bool], quantized: bool = True) -> Graph:
    """Calls one after the other on a dequantized input: (target, annotated)."""
    b = GraphBuilder()
    value = b.quantized_input("x", SHAPE, INPUT)
    for target, annotated in steps:
        rest: tuple[Arg, ...] = ((0, 1, 3, 2),) if "permute" in target else ()
        value = b.call(target, value, *rest, annotated=annotated)
    return b.output(b.requantize(value, OUTPUT) if quantized else value)


PERMUTE, ABS, EXP = "aten.permute.default", "aten.abs.default", "aten.exp.default"


@pytest.mark.parametrize(
    ("wide", "reader", "effects"),
    [
        (False, "", {"1.5.1": Effect.WRONG, "1.2.0": Effect.CRASH}),
        (True, "", {"1.5.1": Effect.RUNTIME_FAULT, "1.2.0": Effect.CRASH}),
        (False, "aten.tanh.default", {"1.5.1": Effect.CRASH, "1.2.0": Effect.CRASH}),
    ],
)
def test_a_product_of_batches_is_not_one_op_with_the_view_after_it(
    wide: bool, reader: str, effects: dict[str, Effect]
) -> None:
    """Both are refused: a view alone would get the floats of the product."""
    graph = batched_product(reader, wide=wide)()
    for release, effect in effects.items():
        (finding,) = find(MissingOutputQ(), graph, "TOSA-1.0+INT+FP", release)
        assert (finding.nodes, finding.effect) == (("bmm", "view"), effect)
        (finding,) = find(MissingOutputQ(), graph, "TOSA-1.0+INT", release)
        assert finding.effect is Effect.CPU_FALLBACK


@pytest.mark.parametrize(
    ("graph", "chains"),
    [
        (chain((PERMUTE, True), (PERMUTE, True)), []),
        (chain((PERMUTE, True), (PERMUTE, True), quantized=False), [("permute", "permute_1")]),
        (chain((ABS, True), (EXP, False)), [("abs",)]),
        (chain((ABS, True), (PERMUTE, True)), [("abs", "permute")]),
        (chain((PERMUTE, True), (EXP, True)), [("permute", "exp")]),
        (chain((ABS, False), (EXP, False), quantized=False), []),
        (chain((ABS, False), (EXP, True), quantized=False), []),
    ],
    ids=["decomposed op", "its end", "float reader", "computing op", "computing reader", "not annotated", "no DQ"],
)
def test_codes_are_followed_through_annotated_ops(graph: Graph, chains: list[tuple[str, ...]]) -> None:
    """An edge program has Q and DQ only at the ends of what one ATen op was decomposed into."""
    assert [finding.nodes for finding in find(MissingOutputQ(), graph)] == chains


def test_one_reader_in_float_is_enough() -> None:
    """The fold turns the result to codes for every reader, the Q among them or not."""
    b = GraphBuilder()
    value = b.call(ABS, b.quantized_input("x", SHAPE, INPUT))
    assert len(find(MissingOutputQ(), b.output(b.requantize(value, OUTPUT), value))) == 1


def test_an_anchor_without_q_after_its_activation_is_one_finding() -> None:
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, INPUT)
    value = b.call("aten.conv2d.default", x, b.quantized_constant("w", (4, 4, 3, 3)), None, (1, 1), (1, 1))
    (finding,) = find(MissingOutputQ(), b.output(b.call("aten.relu.default", value)))
    assert finding.nodes == ("conv2d", "relu")


def test_what_fu102_reports_is_not_reported_again() -> None:
    """A fault has one code: an anchor with several users and no Q among them is FU102's."""
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, INPUT)
    value = b.call("aten.conv2d.default", x, b.quantized_constant("w", (4, 4, 3, 3)), None, (1, 1), (1, 1))
    graph = b.output(value, b.call("aten.exp.default", value, annotated=False))
    assert find(ActivationStrandsAnchor(), graph)
    assert not find(MissingOutputQ(), graph)


def test_an_activation_that_owns_the_q_is_in_order() -> None:
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, INPUT)
    value = b.call("aten.conv2d.default", x, b.quantized_constant("w", (4, 4, 3, 3)), None, (1, 1), (1, 1))
    assert not find(MissingOutputQ(), b.output(b.requantize(b.call("aten.relu.default", value), OUTPUT)))


def test_a_long_chain_of_annotated_ops_takes_linear_time() -> None:
    """Every op of the chain is dequantized in front as well, so each has a finding of its own."""
    b = GraphBuilder()
    value = b.quantized_input("x", SHAPE, INPUT)
    for _ in range(2000):
        value = b.call(ABS, value)
    graph = b.output(value)
    started = time.perf_counter()
    (finding,) = find(MissingOutputQ(), graph)
    assert len(finding.nodes) == 17  # and the one that reads the last of them
    assert time.perf_counter() - started < 5


def peers(target: str, *, second: str, listed: bool = False, annotated: bool = True) -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, INPUT)
    if second == "view":
        y = b.call("aten.view.default", b.quantized_input("y", SHAPE, INPUT), SHAPE)
    elif second == "full":
        y = b.call("aten.full.default", SHAPE, 1.0, shape=SHAPE)
    elif second == "exp":
        y = b.call(EXP, b.input("y", SHAPE), annotated=False)
    else:
        y = b.input("y", SHAPE, second)
    operands: tuple[Arg, ...] = ((x, y),) if listed else (x, y)
    return b.output(b.requantize(b.call(target, *operands, shape=SHAPE, annotated=annotated), OUTPUT))


@pytest.mark.parametrize(
    ("graph", "found"),
    [
        (peers("aten.add.Tensor", second="float32"), True),
        (peers("aten.cat.default", second="exp", listed=True), True),
        (peers("aten.gt.Tensor", second="float32"), True),
        (peers("aten.add.Tensor", second="view"), False),
        (peers("aten.add.Tensor", second="full"), True),
        (peers("aten.add.Tensor", second="int32"), False),
        (peers("aten.add.Tensor", second="float32", annotated=False), False),
        (peers("aten.gather.default", second="float32"), False),
    ],
    ids=["float", "float in a list", "comparison", "view of codes", "constant", "integers", "float op", "other op"],
)
def test_peers_must_be_quantized_alike(graph: Graph, found: bool) -> None:
    """Index and condition operands are no peers, a number without a Q is one, and codes may come through a view."""
    assert bool(find(PartialInputs(), graph)) == found


@pytest.mark.parametrize(
    ("data", "weight", "annotated", "found"),
    [
        (True, True, True, 0),
        (False, True, True, 1),
        (True, False, True, 1),
        (False, False, True, 0),
        (False, True, False, 0),
    ],
)
@pytest.mark.parametrize("kind", ["conv2d", "linear"])
def test_data_and_weight_are_quantized_together(
    kind: str, data: bool, weight: bool, annotated: bool, found: int
) -> None:
    graph = anchor_graph(kind, data=data, weight=weight, annotated=annotated)
    assert len(find(WeightOnly(), graph)) == found


def test_a_linear_without_float_data_is_found_where_it_was_decomposed() -> None:
    """The plug-in sees permute and addmm; both must be refused, or the weight is delegated alone."""
    b = GraphBuilder("edge")
    weight = b.call("aten.permute_copy.default", b.quantized_constant("weight", (8, 8)), (1, 0))
    value = b.call(
        "aten.addmm.default", b.constant("bias", (8,), "float32"), b.input("x", (4, 8)), weight, shape=(4, 8)
    )
    (finding,) = find(WeightOnly(), b.output(b.requantize(value, OUTPUT)), "TOSA-1.0+INT")
    assert finding.nodes == ("addmm", "permute_copy")
    assert finding.effect is Effect.CRASH
    assert "dequantize_per_tensor" in finding.cluster


def test_a_float_anchor_without_q_is_half_quantized_and_nothing_else() -> None:
    """The missing Q of a weight-only linear follows from its float data: one fault, one code."""
    graph = anchor_graph("linear", data=False, output=False)
    assert len(find(WeightOnly(), graph)) == 1
    assert not find(MissingOutputQ(), graph)


def with_number(target: str, number: float, before: QParams = INPUT, after: QParams = OUTPUT) -> Graph:
    """An op of a tensor, perhaps by a mask, and a number, which is first in ``where.ScalarSelf``."""
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, before)
    masks: tuple[Arg, ...] = (b.input("mask", SHAPE, "bool"),)
    args: dict[str, tuple[Arg, ...]] = {
        "aten.masked_fill.Scalar": (x, *masks, number),
        "aten.where.ScalarOther": (*masks, x, number),
        "aten.where.ScalarSelf": (*masks, number, x),
        "first": (number, x),
    }
    made = b.call("aten.sub.Tensor" if target == "first" else target, *args.get(target, (x, number)), shape=SHAPE)
    return b.output(b.requantize(made, after))


@pytest.mark.parametrize(
    ("target", "effect"),
    [
        ("aten.add.Tensor", Effect.CRASH),
        ("aten.mul.Tensor", Effect.CRASH),
        ("aten.sub.Tensor", Effect.CRASH),
        ("first", Effect.CRASH),
        ("aten.rsub.Scalar", Effect.CRASH),
        ("aten.masked_fill.Scalar", Effect.WRONG),
        ("aten.where.ScalarOther", Effect.WRONG),
        ("aten.where.ScalarSelf", Effect.WRONG),
        ("aten.add.Scalar", None),
        ("aten.mul.Scalar", None),
    ],
)
def test_a_number_is_a_float_operand(target: str, effect: Effect | None) -> None:
    """The edge dialect makes a float tensor of it, but for the Scalar overloads, which stay on the CPU."""
    graph = with_number(target, 0.5)
    for spec, expected in (("TOSA-1.0+INT+FP", effect), ("TOSA-1.0+INT", Effect.CPU_FALLBACK)):
        found = find(PartialInputs(), graph, spec)
        assert [finding.effect for finding in found] == ([] if effect is None else [expected])
    if effect is not None:
        (finding,) = find(PartialInputs(), graph)
        assert "the number 0.5" in finding.message


@pytest.mark.parametrize("target", ["aten.where.ScalarOther", "aten.where.ScalarSelf", "aten.masked_fill.Scalar"])
@pytest.mark.parametrize(("number", "zero_point", "found"), [(0.5, 0, 1), (0, 0, 0), (0, 3, 1)])
def test_a_number_that_is_chosen_is_read_as_a_code(target: str, number: float, zero_point: int, found: int) -> None:
    """Zero is its own code if the zero point is 0."""
    qparams = int8(0.02, zero_point)
    assert len(find(PartialInputs(), with_number(target, number, qparams, qparams), "TOSA-1.0+INT+FP")) == found


def test_a_number_is_no_code_where_the_scale_is_none() -> None:
    impossible = int8(0.0, 0)
    graph = with_number("aten.masked_fill.Scalar", 0, impossible, impossible)
    assert len(find(PartialInputs(), graph, "TOSA-1.0+INT+FP")) == 1


@pytest.mark.parametrize("target", ["aten.where.ScalarOther", "aten.where.ScalarSelf", "aten.masked_fill.Scalar"])
def test_no_codes_pass_an_op_that_chooses_a_number(target: str) -> None:
    assert find(ValueTransparentRequant(), with_number(target, 0.5)) == ()


def test_an_annotated_constant_of_the_edge_dialect_is_float() -> None:
    """It makes a constant of the number in 1 - x, and gives it the annotation of the op."""
    b = GraphBuilder("edge")
    number = b.constant("number", (), "float32")
    x = b.quantized_input("x", SHAPE, INPUT)
    graph = b.output(b.requantize(b.call("aten.sub.Tensor", number, x, shape=SHAPE), OUTPUT))
    marked = Graph([replace(node, annotated=True) if node.name == number else node for node in graph], dialect="edge")
    assert len(find(PartialInputs(), marked, "TOSA-1.0+INT+FP")) == 1


def _written_buffer(*, computed: bool = False) -> Graph:
    """Permuted codes are put into a buffer that is written, or into what is computed from a constant."""
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 2, 8, 8), INPUT)
    values = x if computed else b.call(PERMUTE, x, (0, 1, 3, 2), shape=(1, 2, 8, 8))
    places = b.constant("places", (2,), "int64", (1, 3))
    memory = b.constant("memory", SHAPE, "float32")
    whole = b.call("aten.sin.default", memory, annotated=False) if computed else memory
    target = "aten.index_put.default" if computed else "aten.index_put_.default"
    return b.output(b.requantize(b.call(target, whole, (None, places), values, shape=SHAPE), INPUT))


def test_codes_that_are_put_into_floats_are_one_finding() -> None:
    """SCATTER takes one dtype: that the buffer is read in float is not what breaks."""
    graph = _written_buffer()
    assert not find(MissingOutputQ(), graph)
    (finding,) = find(PartialInputs(), graph)
    assert finding.nodes == ("index_put_", "permute")
    assert finding.case == "put"


def test_what_is_computed_from_constants_is_a_constant() -> None:
    (finding,) = find(PartialInputs(), _written_buffer(computed=True))
    assert finding.case == "constant put"
