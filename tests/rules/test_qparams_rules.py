"""QP rules on graphs at the edges of their predicates, torch-free."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from fuseguard.engine import Effect, Finding, Rule, run
from fuseguard.ir import Graph, Node, QParams, Ref, TensorMeta
from fuseguard.ir.builder import GraphBuilder, full_int16, int8
from fuseguard.target import Target
from fuseguard_rules.qparams.qp301_collapsed_constant import CollapsedConstant
from fuseguard_rules.qparams.qp302_scale_ratio_out_of_range import ScaleRatio
from fuseguard_rules.qparams.qp303_illegal_zero_point import IllegalZeroPoint
from fuseguard_rules.qparams.qp304_impossible_qparams import ImpossibleQParams
from fuseguard_rules.qparams.qp305_bias_scale_not_input_times_weight import BiasScale

SHAPE = (1, 4, 4, 4)
FLOOR = 2.0**-16


def found(rule: type[Rule], graph: Graph, spec: str = "TOSA-1.0+INT", release: str = "1.5.1") -> list[Finding]:
    report = run(graph, Target.parse(spec, release), [rule()])
    assert not report.failures
    return list(report.findings)


def binary(target: str, x: QParams, y: QParams, out: QParams) -> Graph:
    b = GraphBuilder()
    value = b.call(target, b.quantized_input("x", SHAPE, x), b.quantized_input("y", SHAPE, y))
    return b.output(b.requantize(value, out))


def conv(weights: Sequence[float] | float, bias: Sequence[float] | float) -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, int8(0.05, 3))
    w = b.quantized_constant("weight", (4, 4, 1, 1), weights)
    stored = b.quantized_constant("bias", (4,), bias, "int32")
    value = b.call("aten.conv2d.default", x, w, stored, shape=SHAPE)
    return b.output(b.requantize(value, int8(0.07, 2)))


def scaled(total: float, constant: float, out: float, *, size: int = 1) -> Graph:
    """``total`` times a stored constant of ``size`` elements."""
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, int8(total, -128))
    c = b.dequantize(b.constant("c", (size,)), int8(constant, -128))
    return b.output(b.requantize(b.call("aten.mul.Tensor", x, c, shape=SHAPE), int8(out, -128)))


class TestImpossible:
    @pytest.mark.parametrize("scale", [0.0, -0.1, math.nan, math.inf, -math.inf, 1e-40])
    def test_a_scale_that_is_not_a_positive_normal_float(self, scale: float) -> None:
        """Zero cannot be an example (the eager program divides by it), so it is held here."""
        findings = found(ImpossibleQParams, binary("aten.add.Tensor", int8(0.1), int8(0.1), int8(scale)))
        assert [f.effect for f in findings] == [Effect.CRASH]

    def test_a_nan_scale_is_reported_once_for_its_q_and_dq(self) -> None:
        """NaN is not equal to itself; comparing qparams by == would take Q and DQ for strangers."""
        b = GraphBuilder()
        x = b.quantized_input("x", SHAPE, int8(math.nan))
        assert len(found(ImpossibleQParams, b.output(b.requantize(b.call("aten.relu.default", x), int8(0.1))))) == 1

    @pytest.mark.parametrize(
        ("zero_point", "dtype", "bad"),
        [
            (127, "int8", False),
            (-128, "int8", False),
            (128, "int8", True),
            (255, "uint8", False),
            (-1, "uint8", True),
            (40000, "int16", True),
        ],
    )
    def test_zero_points_at_the_ends_of_their_dtype(self, zero_point: int, dtype: str, bad: bool) -> None:
        out = QParams.per_tensor(0.1, zero_point, 0, 100, dtype)
        assert bool(found(ImpossibleQParams, binary("aten.add.Tensor", int8(0.1), int8(0.1), out))) is bad

    def test_four_bit_codes_in_int8_are_healthy(self) -> None:
        """INT4 weights are int8 with codes [-7, 7]: a narrow range is not an impossible one."""
        b = GraphBuilder()
        x = b.quantized_input("x", SHAPE, int8(0.1))
        w = b.dequantize(b.constant("w", (4, 4, 1, 1)), QParams.per_tensor(0.1, 0, -7, 7, "int8"))
        value = b.call("aten.conv2d.default", x, w, None, shape=SHAPE)
        assert not found(ImpossibleQParams, b.output(b.requantize(value, int8(0.1))))

    @pytest.mark.parametrize(("low", "high"), [(10, -10), (-129, 127), (-128, 128)])
    def test_code_ranges(self, low: int, high: int) -> None:
        out = QParams.per_tensor(0.1, 0, low, high, "int8")
        assert found(ImpossibleQParams, binary("aten.add.Tensor", int8(0.1), int8(0.1), out))

    @pytest.mark.parametrize(
        ("channels", "axis", "bad"), [(4, 0, False), (4, -4, False), (3, 0, True), (4, 4, True), (4, -5, True)]
    )
    def test_channel_count_and_axis_without_reading_values(self, channels: int, axis: int, bad: bool) -> None:
        """The plug-in reads no buffers, so the length must come from the shape of the scales."""
        assert bool(found(ImpossibleQParams, per_channel(channels, axis))) is bad

    def test_a_bad_scale_among_the_channels(self) -> None:
        assert found(ImpossibleQParams, conv((0.01, -0.02, 0.01, 0.01), 0.0005))


def per_channel(channels: int, axis: int) -> Graph:
    """A per-channel DQ whose scales are not known, as the plug-in sees it."""
    weight = Node("w", "placeholder", outputs=(TensorMeta("int8", (4, 4, 1, 1)),))
    scales = Node("s", "placeholder", outputs=(TensorMeta("float32", (channels,)),))
    points = Node("z", "placeholder", outputs=(TensorMeta("int64", (channels,)),))
    dq = Node(
        "dq",
        "call",
        "quantized_decomposed.dequantize_per_channel.default",
        (Ref("w"), Ref("s"), Ref("z"), axis, -127, 127, "int8"),
        outputs=(TensorMeta("float32", (4, 4, 1, 1)),),
    )
    return Graph([weight, scales, points, dq, Node("output", "output", args=((Ref("dq"),),))])


class TestZeroPoint:
    def test_a_zero_point_outside_int16_is_left_to_qp304(self) -> None:
        graph = binary("aten.add.Tensor", full_int16(0.1), full_int16(0.1), full_int16(0.1, 40000))
        assert not found(IllegalZeroPoint, graph)
        assert found(ImpossibleQParams, graph)

    def test_an_int16_zero_point_into_an_anchor_faults_at_run_time(self) -> None:
        """No example: the reference model aborts the process, so the judge cannot be asked."""
        b = GraphBuilder()
        x = b.quantized_input("x", SHAPE, full_int16(0.01, 7))
        w = b.quantized_constant("w", (4, 4, 1, 1), 0.01)
        value = b.call("aten.conv2d.default", x, w, None, shape=SHAPE)
        findings = found(IllegalZeroPoint, b.output(b.requantize(value, full_int16(0.1))))
        assert [f.effect for f in findings] == [Effect.RUNTIME_FAULT]

    @pytest.mark.parametrize(("before", "after"), [(0, 7), (7, 0)])
    def test_between_two_pairs_stands_a_rescale(self, before: int, after: int) -> None:
        """No op reads the codes on their way from one domain to the other, and lowering crashes all the same."""
        b = GraphBuilder()
        x = b.quantized_input("x", SHAPE, full_int16(0.1, before))
        value = b.requantize(b.call("aten.permute.default", x, (0, 2, 1, 3)), full_int16(0.1, before))
        findings = found(IllegalZeroPoint, b.output(b.requantize(value, full_int16(0.1, after))))
        assert Effect.CRASH in {finding.effect for finding in findings}

    @pytest.mark.parametrize(("op", "told"), [("ne", []), ("eq", [Effect.CRASH, Effect.CRASH])])
    @pytest.mark.parametrize("spec", ["TOSA-1.0+INT+int16", "TOSA-1.0+INT+FP+int16"])
    def test_a_comparison_that_stays_on_the_cpu_rescales_nothing(self, op: str, told: list[Effect], spec: str) -> None:
        """No INT list has ne; measured exact on 1.2.0, 1.4.1 and 1.5.1, where eq crashes."""
        b = GraphBuilder()
        operands = []
        for name in ("x", "y"):
            value = b.input(name, SHAPE)
            value = b.call("aten.mul.Tensor", value, value, annotated=False)
            operands.append(b.requantize(value, full_int16(0.0001, 7)))
        graph = b.output(b.call(f"aten.{op}.Tensor", *operands, dtype="bool"))
        for release in ("1.2.0", "1.4.1", "1.5.1"):
            assert [item.effect for item in found(IllegalZeroPoint, graph, spec, release)] == told

    def test_an_op_whose_release_lists_it_for_floats_alone_rescales_nothing(self) -> None:
        """round is on the INT list, and a lookup table, from 1.4 on; what reads it is rescaled then."""
        b = GraphBuilder()
        value = b.input("x", SHAPE)
        value = b.requantize(b.call("aten.mul.Tensor", value, value, annotated=False), full_int16(0.0001, 7))
        graph = b.output(b.requantize(b.call("aten.round.default", value), full_int16(0.0001)))
        assert found(IllegalZeroPoint, graph, "TOSA-1.0+INT+FP+int16", "1.3.1") == []
        assert [item.effect for item in found(IllegalZeroPoint, graph, "TOSA-1.0+INT+FP+int16")] == [Effect.EXACT]

    def test_the_rounds_of_a_loop_are_no_float_ops(self) -> None:
        """Control flow is not annotated, and InsertControlFlowRescalesPass puts RESCALEs around it."""
        b = GraphBuilder()
        value = b.call("cond", b.quantized_input("x", SHAPE, full_int16(0.1, 7)), annotated=False)
        (finding,) = found(IllegalZeroPoint, b.output(b.requantize(value, full_int16(0.1))))
        assert finding.effect is Effect.CRASH

    def test_an_int8_weight_with_a_zero_point_is_right(self) -> None:
        """Measured exact on a per-tensor weight, although it was suspected to be wrong."""
        b = GraphBuilder()
        x = b.quantized_input("x", SHAPE, int8(0.05, 3))
        w = b.dequantize(b.constant("w", (4, 4, 1, 1)), int8(0.01, 9))
        value = b.call("aten.conv2d.default", x, w, None, shape=SHAPE)
        assert not found(IllegalZeroPoint, b.output(b.requantize(value, int8(0.1))))


class TestCollapsedConstant:
    def test_a_constant_that_vanishes_is_a_loss_of_the_program_and_not_of_the_backend(self) -> None:
        """1/50176 in A16W8 is far below half a step of 2**-12: the product is zero everywhere, in eager too."""
        findings = found(CollapsedConstant, scaled(50176 / 255, 2.0**-12, 1 / 255))
        assert [f.effect for f in findings] == [Effect.QUALITY]
        assert "100.0 %" in findings[0].message

    def test_a_scale_above_the_floor_is_healthy(self) -> None:
        """An observer that was free to choose gives the constant the last code."""
        assert not found(CollapsedConstant, scaled(100.0, 1.6e-5, 100.0 * 5e-5))

    def test_a_wide_output_range_does_not_accuse_the_constant(self) -> None:
        """Then the two scales only bound the constant from above; a sum times 0.003 is healthy."""
        assert not found(CollapsedConstant, scaled(100.0, FLOOR, 0.3))

    def test_a_tensor_of_constants_is_left_alone(self) -> None:
        """Ranges say nothing of each element, and stored values are never read."""
        assert not found(CollapsedConstant, scaled(100.0, FLOOR, 100.0 * 5e-5, size=4))

    def test_both_orders_of_the_operands(self) -> None:
        b = GraphBuilder()
        x = b.quantized_input("x", SHAPE, int8(100.0, -128))
        c = b.dequantize(b.constant("c", (1,)), int8(FLOOR, -128))
        graph = b.output(b.requantize(b.call("aten.mul.Tensor", c, x, shape=SHAPE), int8(100.0 * 5e-5, -128)))
        assert len(found(CollapsedConstant, graph)) == 1

    @pytest.mark.parametrize(
        ("op", "step", "bad"),
        [
            ("add", 0.01, False),
            ("sub", 0.01, False),
            ("add", 2.0**-17, True),
            ("mul", 0.01, False),
            ("mul", 2.0**-17, True),
        ],
    )
    def test_what_is_lost_beneath_the_steps_of_a_sum_is_no_loss(self, op: str, step: float, bad: bool) -> None:
        """The epsilon of a batch_norm: most findings of the campaign were these, and none of them a loss."""
        b = GraphBuilder()
        x = b.quantized_input("x", SHAPE, int8(0.01, -128))
        epsilon = b.requantize(b.call("aten.full.default", (1,), 1e-5, shape=(1,)), int8(FLOOR, -128))
        graph = b.output(b.requantize(b.call(f"aten.{op}.Tensor", x, epsilon, shape=SHAPE), int8(step, -128)))
        assert bool(found(CollapsedConstant, graph)) == bad

    def test_a_zero_scale_beside_it_does_not_raise(self) -> None:
        assert not found(CollapsedConstant, scaled(0.0, FLOOR, 0.0))


class TestScaleRatio:
    def test_int32_operands_are_not_taken_to_reach_the_end_of_their_codes(self) -> None:
        """Arm's own test_add passes with them; it was announced as undefined."""
        wide = QParams.per_tensor(2.0**-20, 0, -(2**31), 2**31 - 1, "int32")
        assert not found(ScaleRatio, binary("aten.add.Tensor", wide, wide, int8(0.05)))

    @pytest.mark.parametrize(
        ("power", "zero_point", "bad"), [(21, 3, False), (22, 3, True), (22, -1, False), (23, -1, True), (30, 3, True)]
    )
    def test_the_largest_code_counts_too(self, power: int, zero_point: int, bad: bool) -> None:
        """apply_scale_32 wants the value below 2**(shift - 1): 131 and 127 differ by one power of two."""
        x = QParams.per_tensor(0.05 / 2**power, 0, -128, 127, "int8")
        y = QParams.per_tensor(
            0.05, zero_point, -127 if zero_point < 0 else -128, 126 if zero_point < 0 else 127, "int8"
        )
        assert bool(found(ScaleRatio, binary("aten.maximum.default", x, y, int8(0.05)))) is bad

    def test_a_vanishing_operand_of_add_is_healthy(self) -> None:
        assert not found(ScaleRatio, binary("aten.add.Tensor", int8(1e-12), int8(0.05), int8(0.05)))

    def test_mask_values_in_an_add_are_healthy(self) -> None:
        """A quantized -1e9 ruins accuracy, but every RESCALE stays in range."""
        assert not found(ScaleRatio, binary("aten.add.Tensor", int8(0.05), int8(1e9 / 128), int8(1e9 / 128)))

    def test_direct_requantization(self) -> None:
        b = GraphBuilder()
        x = b.requantize(b.quantized_input("x", SHAPE, int8(1e6)), int8(1e-6))
        assert [f.effect for f in found(ScaleRatio, b.output(x))] == [Effect.CRASH]

    def test_scales_that_are_qp304s_do_not_raise(self) -> None:
        for scale in (0.0, -1.0, math.nan, math.inf, 1e-42):
            assert not found(ScaleRatio, binary("aten.mul.Tensor", int8(scale), int8(0.1), int8(scale)))

    def test_unknown_weight_scales_are_no_fault(self) -> None:
        """The plug-in cannot read per-channel scales; it must not guess."""
        graph = conv((0.01,) * 4, (0.0005,) * 4)
        blind = Graph(list(graph), dialect=graph.dialect)
        assert not found(ScaleRatio, blind)
        assert not found(BiasScale, blind)


class TestBiasScale:
    def test_float32_rounding_of_the_product_is_healthy(self) -> None:
        assert not found(BiasScale, conv(0.01, 0.0005 * (1 + 1e-7)))

    def test_the_worst_channel_is_named(self) -> None:
        findings = found(BiasScale, conv((0.01, 0.02, 0.03, 0.04), (0.0005, 0.001, 0.003, 0.0021)))
        assert "in channel 2" in findings[0].message

    def test_one_bias_scale_for_per_channel_weights(self) -> None:
        assert found(BiasScale, conv((0.01, 0.02, 0.03, 0.04), 0.0005))

    def test_no_bias_and_a_float_bias_are_healthy(self) -> None:
        b = GraphBuilder()
        x = b.quantized_input("x", SHAPE, int8(0.05))
        w = b.quantized_constant("w", (4, 4, 1, 1), 0.01)
        value = b.call("aten.conv2d.default", x, w, b.constant("bias", (4,), "float32"), shape=SHAPE)
        assert not found(BiasScale, b.output(b.requantize(value, int8(0.1))))


@pytest.mark.parametrize(("dtype", "number"), [("float32", 1), ("float16", 0)])
def test_a_cast_that_changes_nothing_is_no_reader_of_its_own(dtype: str, number: int) -> None:
    """The edge dialect leaves such a cast out, so that the Q after it reads the DQ before it."""
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 4), int8(0.58, -11))
    cast = b.call("aten.to.dtype", x, dtype, dtype=dtype)
    assert len(found(ScaleRatio, b.output(b.requantize(cast, int8(1e-9, -11))))) == number
