"""OP713 where its examples do not reach, torch-free.

Protects: an input that something in its delegate reads is kept, and the repair reads no input.
"""

from __future__ import annotations

import pytest

from fuseguard.backend.releases import MEASURED_RELEASES
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
    elif of == "shared":
        y = b.requantize(y, QPARAMS)
        results.append(b.requantize(b.call("aten.sort.values", y, annotated=False), QPARAMS))
    elif of == "returned":
        y = b.requantize(y, QPARAMS)
        results.append(b.call("aten.isnan.default", y, dtype="bool", annotated=False))
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
        (filled("aten.ones_like.default", of="shared"), True),  # the CPU's op divides the delegate after the DQ
        (filled("aten.ones_like.default", of="returned"), False),  # the delegate yields the floats that the CPU reads
        (filled("aten.ones_like.default", dtype="int64"), False),  # stays on the CPU
    ],
)
def test_only_inputs_that_nothing_reads_are_lost(graph: Graph, found: bool) -> None:
    assert bool(find(DelegateInputLost(), graph, release="1.5.1")) == found


def beside_on_cpu(op: str, *args: object) -> Graph:
    """Ones in the shape of a value whose DQ an op on the CPU shares, and which a convolution reads as well."""
    b = GraphBuilder()
    q = b.quantize(b.input("x", SHAPE), QPARAMS)
    shared, own = b.dequantize(q, QPARAMS), b.dequantize(q, QPARAMS)
    other = b.requantize(b.call(f"aten.{op}", shared, *args, annotated=False), QPARAMS)
    ones = b.requantize(b.call("aten.ones_like.default", shared, annotated=False), int8(1 / 255, -128))
    negative = b.requantize(b.call("aten.neg.default", own), QPARAMS)
    return b.output(other, b.requantize(b.call("aten.add.Tensor", ones, negative), OUT))


@pytest.mark.parametrize(("op", "args"), [("roll.default", ((1,), (2,))), ("sort.values", ())])
def test_without_float_support_what_shares_a_dequantize_op_with_the_cpu_stays_there(
    op: str, args: tuple[object, ...]
) -> None:
    """The edge dialect makes an index_select of a roll, with an int64 index, which keeps it on the CPU."""
    graph = beside_on_cpu(op, *args)
    for release in MEASURED_RELEASES:
        for spec, effect in (("TOSA-1.0+INT", "cpu_fallback"), ("TOSA-1.0+INT+FP", "runtime_fault")):
            found = [finding.effect.value for finding in find(DelegateInputLost(), graph, spec, release)]
            assert found == ([] if release == "1.2.0" else [effect]), (release, spec)  # there, a TRANSPOSE reads it


@pytest.mark.parametrize(("spec", "lost"), [("TOSA-1.0+INT", True), ("TOSA-1.0+INT+FP", False)])
def test_without_float_support_no_delegate_reads_codes_for_an_output(spec: str, lost: bool) -> None:
    """A sort divides the delegate after the negative. In INT, the dequantize op before the output is on the CPU."""
    b = GraphBuilder()
    negative = b.quantize(b.call("aten.neg.default", b.quantized_input("x", (4, 6), QPARAMS)), QPARAMS)
    zeros = b.call("aten.zeros_like.default", b.dequantize(negative, QPARAMS), dtype="int8", kwargs={"dtype": "int8"})
    ordered = b.requantize(b.call("aten.sort.values", b.dequantize(negative, QPARAMS), annotated=False), QPARAMS)
    graph = b.output(b.dequantize(negative, QPARAMS), zeros, ordered)
    assert bool(find(DelegateInputLost(), graph, spec, "1.5.1")) == lost


def of_int64(kind: str) -> Graph:
    """Ones in the shape of an int64 that is cast to int32, beside a sigmoid; ``kind`` is what yields the int64."""
    b = GraphBuilder()
    x = b.quantized_input("x", (4, 6), QPARAMS)
    results = [b.requantize(b.call("aten.sigmoid.default", x), int8(1 / 256, -128))]
    if kind == "input":
        value = b.input("n", (6,), "int64")
    else:
        shape = (1, 6) if kind == "kept" else (6,)
        value = b.call("aten.argmax.default", x, 0, kind == "kept", shape=shape, dtype="int64", annotated=False)
        if kind == "read":
            results.append(value)
    value = b.call("aten._to_copy.default", value, dtype="int32", kwargs={"dtype": "int32"})
    made = b.call("aten.ones_like.default", value, dtype="int32", annotated=False, kwargs={"dtype": "int32"})
    return b.output(*results, made)


@pytest.mark.parametrize(
    ("kind", "releases"),
    [
        ("argmax", ("1.2.0", "1.3.1", "1.4.1")),  # from 1.5 on the argmax and its cast are delegated
        ("kept", ("1.2.0", "1.3.1", "1.4.1", "1.5.1")),
        ("read", ("1.2.0", "1.3.1", "1.4.1", "1.5.1")),
        ("input", ("1.2.0", "1.3.1", "1.4.1", "1.5.1")),
    ],
)
def test_a_cast_from_int64_stays_on_the_cpu_where_what_it_casts_does(kind: str, releases: tuple[str, ...]) -> None:
    for release in MEASURED_RELEASES:
        found = find(DelegateInputLost(), of_int64(kind), release=release)
        assert bool(found) == any(release.startswith(item[:3]) for item in releases), release


def test_without_float_support_an_argmax_stays_on_the_cpu_on_every_release() -> None:
    for release in MEASURED_RELEASES:
        assert find(DelegateInputLost(), of_int64("argmax"), spec="TOSA-1.0+INT", release=release), release


def test_ones_in_the_shape_of_an_int64_stay_on_the_cpu_themselves() -> None:
    b = GraphBuilder()
    made = b.call("aten.ones_like.default", b.input("n", (6,), "int64"), dtype="int32", annotated=False)
    assert not find(DelegateInputLost(), b.output(made), release="1.5.1")


@pytest.mark.parametrize(("profile", "lost"), [("TOSA-1.0+INT", True), ("TOSA-1.0+INT+FP", False)])
def test_without_float_support_the_codes_of_an_input_are_an_input(profile: str, lost: bool) -> None:
    """Both quantize ops read x. Only one of them is read by an op that needs its values."""
    b = GraphBuilder()
    x = b.input("x", SHAPE)
    made = b.requantize(b.call("aten.ones_like.default", b.requantize(x, QPARAMS)), QPARAMS)
    negative = b.requantize(b.call("aten.neg.default", b.requantize(x, QPARAMS)), OUT)
    assert bool(find(DelegateInputLost(), b.output(negative, made), spec=profile, release="1.5.1")) == lost


@pytest.mark.parametrize(("rank", "lost"), [(3, True), (4, False), (5, False)])
def test_1_2_loses_only_inputs_of_fewer_than_4_dimensions(rank: int, lost: bool) -> None:
    b = GraphBuilder()
    y = b.input("y", (1, 2, 3, 4, 5)[:rank])
    graph = b.output(b.call("aten.ones_like.default", y, annotated=False))
    assert bool(find(DelegateInputLost(), graph, release="1.2.0")) == lost
    assert find(DelegateInputLost(), graph, release="1.3.1")


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


@pytest.mark.parametrize("target", ["aten.copy.default", "aten.copy_.default"])
def test_a_result_that_is_overwritten_loses_what_it_was_computed_from(target: str) -> None:
    """In place or not: a program that is exported keeps the ``copy_``, and the edge dialect has the ``copy``."""
    b = GraphBuilder()
    qparams = int8(0.05)
    x, y = b.quantized_input("x", (4, 6), qparams), b.quantized_input("y", (4, 6), qparams)
    copied = b.call(target, b.requantize(b.call("aten.relu.default", x), qparams), y)
    (finding,) = find(DelegateInputLost(), b.output(b.requantize(copied, qparams)))
    assert finding.nodes == (target.split(".")[1],)
