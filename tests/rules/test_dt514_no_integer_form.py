"""DT514 where its examples do not reach, torch-free.

Protects: ops with an integer form, those that the release leaves on the CPU, and those that are decomposed.
"""

from __future__ import annotations

import math

import pytest

from fuseguard.backend.op_sets import INT32_OPS, ON_INT, REGISTERED_CHECKS, TABLE_OPS
from fuseguard.engine import Effect
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.graph import Arg
from fuseguard_rules.dtype.dt514_no_integer_form import NoIntegerForm
from fuseguard_rules.operator.op721_op_form_not_lowered import OpFormNotLowered
from fuseguard_rules.placement.pl402_inputs_partly_quantized import PartialInputs
from fuseguard_testkit.linting import find

SHAPE = (1, 4, 6, 6)
QPARAMS = int8(0.0237, -3)


def of(target: str, *args: Arg, inputs: int = 1, annotated: bool = True, kwargs: dict[str, Arg] | None = None) -> Graph:
    b = GraphBuilder()
    given = [b.quantized_input(f"x{number}", SHAPE, QPARAMS) for number in range(inputs)]
    value = b.call(target, *given, *args, annotated=annotated, kwargs=kwargs)
    return b.output(b.requantize(value, QPARAMS))


def of_floats(target: str, *args: Arg) -> Graph:
    b = GraphBuilder()
    return b.output(b.requantize(b.call(target, b.input("x", SHAPE), *args), QPARAMS))


@pytest.mark.parametrize("kind", ["eq", "ge", "gt", "le", "lt"])
def test_every_comparison_with_a_number_crashes(kind: str) -> None:
    for release in ("1.2.0", "1.3.1", "1.4.1", "1.5.1"):
        for profile in ("INT", "INT+FP"):
            (finding,) = find(NoIntegerForm(), of(f"aten.{kind}.Scalar", 0.5), f"TOSA-1.0+{profile}", release)
            assert (finding.case, finding.effect) == ("compared", Effect.CRASH)
    assert find(NoIntegerForm(), of(f"aten.{kind}.Tensor", inputs=2)) == ()


def test_what_no_int_list_has_stays_on_the_cpu() -> None:
    assert find(NoIntegerForm(), of("aten.ne.Scalar", 0.5)) == ()
    floor = of("aten.floor_divide.default", inputs=2)
    assert [len(find(NoIntegerForm(), floor, release=release)) for release in ("1.2.0", "1.3.1", "1.4.1", "1.5.1")] == [
        0, 0, 1, 1,
    ]  # fmt: skip


def test_an_op_that_is_not_annotated_or_reads_floats_computes_in_float() -> None:
    assert find(NoIntegerForm(), of("aten.sign.default", annotated=False)) == ()
    assert find(NoIntegerForm(), of_floats("aten.sign.default")) == ()


def test_sgn_is_a_sign() -> None:
    """The edge dialect makes one of it. Measured on 1.5.1, 1.4.1, 1.3.1 and 1.2.0."""
    for profile in ("INT", "INT+FP"):
        (finding,) = find(NoIntegerForm(), of("aten.sgn.default"), f"TOSA-1.0+{profile}")
        assert (finding.case, finding.effect) == ("sign", Effect.CRASH)


def test_an_adaptive_pool_to_one_element_is_a_mean() -> None:
    """Of volumes and rows, too, of which nothing was known. Measured on 1.5.1, 1.4.1 and 1.2.0."""

    def pool(dims: int, size: int) -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", (1, 4, *[8] * dims), QPARAMS)
        shape = (size,) * dims
        value = b.call(f"aten.adaptive_avg_pool{dims}d.default", x, shape, shape=(1, 4, *shape))
        return b.output(b.requantize(value, QPARAMS))

    for dims, effects in {
        1: {"INT": Effect.RUNTIME_FAULT, "INT+FP": Effect.CRASH},
        2: {"INT": Effect.CRASH, "INT+FP": Effect.CRASH},
        3: {"INT": Effect.CRASH, "INT+FP": Effect.CRASH},
    }.items():
        for profile, effect in effects.items():
            (finding,) = find(NoIntegerForm(), pool(dims, 1), f"TOSA-1.0+{profile}", "1.5.1")
            assert finding.effect == effect, (dims, profile)
        assert find(NoIntegerForm(), pool(dims, 2), release="1.5.1") == ()
    assert find(NoIntegerForm(), pool(3, 1), release="1.2.0") == ()
    assert len(find(NoIntegerForm(), pool(1, 1), release="1.2.0")) == 1


def test_a_mean_is_decomposed_after_it_is_folded_from_1_3_on() -> None:
    graph = of("aten.mean.dim", (1,), True)
    assert [len(find(NoIntegerForm(), graph, release=release)) for release in ("1.2.0", "1.3.1", "1.5.1")] == [0, 1, 1]


def test_alpha_counts_only_if_it_changes_something() -> None:
    assert find(NoIntegerForm(), of("aten.add.Tensor", inputs=2, kwargs={"alpha": 1})) == ()
    (finding,) = find(NoIntegerForm(), of("aten.sub.Tensor", inputs=2, kwargs={"alpha": 3}))
    assert finding.effect is Effect.UNDEFINED


def test_a_logical_op_of_codes_is_said_once() -> None:
    b = GraphBuilder()
    graph = b.output(b.call("aten.logical_not.default", b.quantized_input("x", SHAPE, QPARAMS), dtype="bool"))
    assert [finding.effect for finding in find(NoIntegerForm(), graph)] == [Effect.CRASH]
    assert find(OpFormNotLowered(), graph) == ()


def test_ops_with_a_table_or_a_rescale_have_an_integer_form() -> None:
    """What the sets of the backend give an integer form is never reported, whatever it is called."""
    for target in sorted(TABLE_OPS.on("1.5.1") | INT32_OPS.on("1.5.1")):
        inputs = 2 if target.endswith(".Tensor") or "imum" in target else 1
        assert find(NoIntegerForm(), of(target, *([2] if "Scalar" in target else []), inputs=inputs)) == (), target


def test_what_is_reported_is_on_a_list_of_the_backend() -> None:
    listed = ON_INT.on("1.5.1") | REGISTERED_CHECKS.on("1.5.1")
    for target in ("sign.default", "gt.Scalar", "remainder.Tensor", "div.Tensor_mode", "pow.Tensor_Tensor", "mean.dim",
                   "prod.dim_int", "unfold_copy.default", "logical_not.default", "any.dim"):  # fmt: skip
        assert f"aten.{target}" in listed


def test_a_half_quantized_ne_is_left_on_the_cpu() -> None:
    """Measured exact on 1.4.1 and 1.2.0, where eq crashes with float support."""
    for kind, told in (("ne", []), ("eq", [Effect.CRASH])):
        b = GraphBuilder()
        y = b.input("y", SHAPE)
        plain = b.call("aten.mul.Tensor", y, y, annotated=False)
        graph = b.output(b.call(f"aten.{kind}.Tensor", b.quantized_input("x", SHAPE, QPARAMS), plain, dtype="bool"))
        found = find(PartialInputs(), graph, "TOSA-1.0+INT+FP")
        assert [finding.effect for finding in found] == told


PARTS = [
    ("softplus.default", (), "parts"),
    ("mish.default", (), "parts"),
    ("logsumexp.default", ((1,),), "parts"),
    ("threshold.default", (0.1, 0.0), "parts"),
    ("linalg_vector_norm.default", (2, (1,)), "parts"),
    ("norm.ScalarOpt_dim", (None, (1,)), "parts"),
    ("hardshrink.default", (), "mixed parts"),
    ("nan_to_num.default", (), "mixed parts"),
    ("tril.default", (), "mixed parts"),
    ("glu.default", (1,), "cut parts"),
    ("diff.default", (), "cut parts"),
    ("linalg_vector_norm.default", (1, (1,)), "cut parts"),
    ("im2col.default", ((2, 2), (1, 1), (0, 0), (1, 1)), "moved parts"),
    ("nansum.default", ((1,),), "summed parts"),
    ("log_sigmoid.default", (), "delegated parts"),
    ("linalg_vector_norm.default", (math.inf, (1,)), "raw parts"),
]


@pytest.mark.parametrize(("target", "args", "case"), PARTS, ids=[f"{row[0]}-{row[2]}" for row in PARTS])
def test_an_op_that_the_edge_dialect_makes_several_of(target: str, args: tuple[Arg, ...], case: str) -> None:
    for release in ("1.2.0", "1.3.1", "1.4.1", "1.5.1"):
        (finding,) = find(NoIntegerForm(), of(f"aten.{target}", *args), "TOSA-1.0+INT+FP", release)
        assert finding.case == case
        assert target.split(".")[0] in finding.message
    assert find(NoIntegerForm(), of(f"aten.{target}", *args, annotated=False)) == ()


@pytest.mark.parametrize(
    ("target", "inputs"),
    [("addcmul.default", 3), ("lerp.Tensor", 3), ("baddbmm.default", 3), ("xlogy.Tensor", 2), ("outer.default", 2)],
)
def test_an_op_of_several_operands_that_the_edge_dialect_makes_several_of(target: str, inputs: int) -> None:
    (finding,) = find(NoIntegerForm(), of(f"aten.{target}", inputs=inputs), "TOSA-1.0+INT+FP")
    assert (finding.case, finding.effect) == ("parts", Effect.CRASH)
    (finding,) = find(NoIntegerForm(), of(f"aten.{target}", inputs=inputs), "TOSA-1.0+INT")
    assert finding.effect is Effect.CPU_FALLBACK


@pytest.mark.parametrize(
    ("target", "args"),
    [
        ("celu.default", ()),
        ("std.correction", ((1,),)),
        ("heaviside.default", ()),
        ("hardswish.default", ()),
        ("hardsigmoid.default", ()),
        ("logit.default", ()),
        ("square.default", ()),
        ("linalg_vector_norm.default", (0, (1,))),
    ],
)
def test_ops_of_which_the_edge_dialect_makes_one_or_that_stay_on_the_cpu(target: str, args: tuple[Arg, ...]) -> None:
    """Measured exact on 1.5.1 (logit and celu: kept as they are; std and heaviside: on the CPU)."""
    assert find(NoIntegerForm(), of(f"aten.{target}", *args), "TOSA-1.0+INT+FP") == ()


def product_of(target: str, shape: tuple[int, ...]) -> Graph:
    b = GraphBuilder()
    x, y = (b.quantized_input(name, shape, QPARAMS) for name in "xy")
    operands: tuple[Arg, ...] = ("ij,jk->ik", (x, y)) if "einsum" in target else (x, y)
    return b.output(b.requantize(b.call(target, *operands, shape=shape), QPARAMS))


def test_a_product_of_matrices_is_one_op_if_there_is_no_batch() -> None:
    for target, shape, cases in (
        ("aten.matmul.default", (6, 6), []),
        ("aten.bmm.default", (1, 6, 6), []),
        ("aten.matmul.default", (1, 6, 6), ["parts"]),
        ("aten.einsum.default", (6, 6), ["cut parts"]),
    ):
        found = find(NoIntegerForm(), product_of(target, shape), "TOSA-1.0+INT+FP")
        assert [finding.case for finding in found] == cases, target
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, QPARAMS)
    graph = b.output(b.requantize(b.call("aten.einsum.default", "abcd->abdc", (x,), shape=SHAPE), QPARAMS))
    assert find(NoIntegerForm(), graph, "TOSA-1.0+INT+FP") == ()


def test_a_loss_of_rank_0_goes_back_as_an_accumulator() -> None:
    b = GraphBuilder()
    x, y = (b.quantized_input(name, SHAPE, QPARAMS) for name in "xy")
    graph = b.output(b.requantize(b.call("aten.mse_loss.default", x, y, shape=()), QPARAMS))
    (finding,) = find(NoIntegerForm(), graph, "TOSA-1.0+INT+FP")
    assert finding.effect is Effect.RUNTIME_FAULT


def test_a_pool_to_one_element_is_a_mean() -> None:
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, QPARAMS)
    graph = b.output(b.requantize(b.call("aten.adaptive_avg_pool2d.default", x, (1, 1), shape=(1, 4, 1, 1)), QPARAMS))
    assert [len(find(NoIntegerForm(), graph, release=release)) for release in ("1.2.0", "1.3.1", "1.5.1")] == [0, 1, 1]
    assert find(NoIntegerForm(), of("aten.adaptive_avg_pool2d.default", (6, 6))) == ()


@pytest.mark.parametrize("target", ["aten.hstack.default", "aten.vstack.default", "aten.column_stack.default"])
def test_values_that_are_joined_are_right_in_one_domain_alone(target: str) -> None:
    b = GraphBuilder()
    x, y = b.quantized_input("x", SHAPE, QPARAMS), b.quantized_input("y", SHAPE, int8(0.05, 10))
    graph = b.output(b.requantize(b.call(target, (x, y), shape=(1, 8, 6, 6)), QPARAMS))
    (finding,) = find(NoIntegerForm(), graph, release="1.5.1")
    assert (finding.case, finding.effect) == ("joined parts", Effect.WRONG)
    (before,) = find(NoIntegerForm(), graph, release="1.2.0")
    assert before.effect is Effect.CRASH
    b = GraphBuilder()
    x, y = (b.quantized_input(name, SHAPE, QPARAMS) for name in "xy")
    assert find(NoIntegerForm(), b.output(b.requantize(b.call(target, (x, y), shape=(1, 8, 6, 6)), QPARAMS))) == ()


@pytest.mark.parametrize(
    ("dims", "transposed", "case"),
    [(((1,), (0,)), False, "multiplied parts"), (((0,), (0,)), True, "cut parts")],
    ids=["as they are", "one of them transposed"],
)
def test_a_tensordot_of_matrices_may_move_nothing(dims: Arg, transposed: bool, case: str) -> None:
    b = GraphBuilder()
    x = b.quantized_input("x", (6, 4) if transposed else (4, 6), QPARAMS)
    y = b.quantized_input("y", (6, 3), QPARAMS)
    assert isinstance(dims, tuple)
    graph = b.output(b.requantize(b.call("aten.tensordot.default", x, y, *dims, shape=(4, 3)), QPARAMS))
    (finding,) = find(NoIntegerForm(), graph)
    assert finding.case == case


@pytest.mark.parametrize("profile", ["INT", "INT+FP"])
def test_a_nearest_interpolation_computes_its_index_in_float(profile: str) -> None:
    graph = of("aten.upsample_nearest1d.vec", (12,), None)
    (finding,) = find(NoIntegerForm(), graph, f"TOSA-1.0+{profile}", "1.5.1")
    assert finding.effect is (Effect.CRASH if profile == "INT" else Effect.EXACT)
