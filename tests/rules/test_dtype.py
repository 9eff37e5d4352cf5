"""DT rules on graphs at the edges of their predicates, torch-free."""

from __future__ import annotations

import pytest

from fuseguard.engine import Effect, Finding, Insert, Pair, Rule, run
from fuseguard.ir import Graph, QParams
from fuseguard.ir.builder import GraphBuilder, full_int16, int8
from fuseguard.target import Target
from fuseguard_rules.dtype.dt501_mixed_dtype_in_one_op import MixedDtype
from fuseguard_rules.dtype.dt502_int16_without_extension import Int16WithoutExtension
from fuseguard_rules.dtype.dt503_lookup_table_width import LookupTable
from fuseguard_rules.dtype.dt504_internal_uint8 import InternalUint8
from fuseguard_rules.dtype.dt505_narrow_table_input import NarrowTableInput

SHAPE = (1, 4, 4, 4)
WIDE = full_int16(0.0002)
NARROW = int8(0.05, 3)
BYTES = QParams.per_tensor(0.05, 131, 0, 255, "uint8")


def found(rule: type[Rule], graph: Graph, spec: str = "TOSA-1.0+INT", release: str = "1.5.1") -> list[Finding]:
    report = run(graph, Target.parse(spec, release), [rule()])
    assert not report.failures
    return list(report.findings)


def unary(target: str, data: QParams, out: QParams) -> Graph:
    b = GraphBuilder()
    return b.output(b.requantize(b.call(target, b.quantized_input("x", SHAPE, data)), out))


def listed(*qparams: QParams) -> Graph:
    b = GraphBuilder()
    inputs = tuple(b.quantized_input(f"x{i}", SHAPE, qp) for i, qp in enumerate(qparams))
    return b.output(b.requantize(b.call("aten.stack.default", inputs, 0, shape=(len(inputs), *SHAPE)), NARROW))


@pytest.mark.parametrize(("op", "tables"), [("sigmoid", 1), ("sqrt", 0), ("logit", 0), ("sign", 0), ("round", 0)])
def test_an_op_without_a_lookup_table_has_no_narrow_one(op: str, tables: int) -> None:
    """sqrt and logit stay on the CPU, as round does before 1.4; a quantized sign crashes (DT514)."""
    graph = unary(f"aten.{op}.default", int8(0.003, -120, -127, 127), int8(0.05))
    assert len(found(NarrowTableInput, graph, release="1.2.0")) == tables


class TestInt16:
    def test_nothing_refuses_a_bmm(self) -> None:
        """Measured on all four releases: without the extension it lowers, and is off by its rounding alone."""
        b = GraphBuilder()
        x, y = (b.quantized_input(name, (2, 8, 8), WIDE) for name in ("x", "y"))
        value = b.call("aten.bmm.default", x, y, shape=(2, 8, 8))
        assert not found(Int16WithoutExtension, b.output(b.requantize(value, WIDE)))

    @pytest.mark.parametrize("spec", ["TOSA-1.0+INT+int16", "TOSA-1.0+INT+FP+int16", "vgf", "ethos-u55-128"])
    def test_targets_that_have_the_extension(self, spec: str) -> None:
        """The accelerators' own compile specs contain it, so nobody who names one may be warned."""
        assert not found(Int16WithoutExtension, unary("aten.sigmoid.default", WIDE, WIDE), spec)

    def test_a_float_op_beside_int16_codes_is_healthy(self) -> None:
        b = GraphBuilder()
        b.quantized_input("x", SHAPE, WIDE)
        y = b.input("y", SHAPE)
        assert not found(Int16WithoutExtension, b.output(b.call("aten.sigmoid.default", y)))

    def test_requantization_to_int8_in_front_is_healthy(self) -> None:
        b = GraphBuilder()
        x = b.requantize(b.quantized_input("x", SHAPE, WIDE), NARROW)
        assert not found(Int16WithoutExtension, b.output(b.requantize(b.call("aten.sigmoid.default", x), NARROW)))

    def test_every_op_is_named(self) -> None:
        """Each op is a cluster of its own: a finding that names the first alone would leave the rest to crash."""
        b = GraphBuilder()
        x = b.quantized_input("x", SHAPE, WIDE)
        for _ in range(3):
            x = b.requantize(b.call("aten.sigmoid.default", x), WIDE)
        assert len(found(Int16WithoutExtension, b.output(x))) == 3


class TestMixed:
    def test_three_list_inputs_of_which_the_last_differs(self) -> None:
        assert found(MixedDtype, listed(NARROW, NARROW, WIDE))
        assert not found(MixedDtype, listed(NARROW, int8(0.01), NARROW))

    def test_an_operand_that_is_not_quantized_is_another_rules(self) -> None:
        b = GraphBuilder()
        x, y = b.quantized_input("x", SHAPE, NARROW), b.input("y", SHAPE)
        assert not found(MixedDtype, b.output(b.requantize(b.call("aten.add.Tensor", x, y), NARROW)))

    def test_a_scalar_operand_does_not_raise(self) -> None:
        b = GraphBuilder()
        x = b.quantized_input("x", SHAPE, NARROW)
        assert not found(MixedDtype, b.output(b.requantize(b.call("aten.add.Tensor", x, 2.0), NARROW)))

    def test_int8_and_a16w8_modules_that_were_requantized_are_healthy(self) -> None:
        """What the quantizer does where the two configurations meet."""
        b = GraphBuilder()
        x = b.quantized_input("x", SHAPE, NARROW)
        y = b.requantize(b.quantized_input("y", SHAPE, WIDE), NARROW)
        assert not found(MixedDtype, b.output(b.requantize(b.call("aten.add.Tensor", x, y), NARROW)))

    @pytest.mark.parametrize(
        ("target", "operands", "out", "changed", "brought_to"),
        [
            (
                "cat.default",
                (BYTES, NARROW),
                BYTES,
                "x",
                NARROW,
            ),  # never to uint8: DT504 would object
            ("cat.default", (BYTES, WIDE), NARROW, "xy", NARROW),
            ("add.Tensor", (BYTES, int8(0.02)), NARROW, "x", NARROW),  # and int16 is not needed
            ("add.Tensor", (NARROW, WIDE), NARROW, "x", full_int16(0.05, 0)),
            ("add.Tensor", (BYTES, WIDE), WIDE, "x", full_int16(0.05)),
            ("bmm.default", (NARROW, NARROW), WIDE, "xy", full_int16(0.05)),  # as its result is
        ],
    )
    def test_what_the_operands_are_brought_to(
        self, target: str, operands: tuple[QParams, QParams], out: QParams, changed: str, brought_to: QParams
    ) -> None:
        b = GraphBuilder()
        given = tuple(b.quantized_input(name, (4, 4, 4), qp) for name, qp in zip("xy", operands, strict=True))
        read = dict(zip(given, "xy", strict=True))
        value = b.call(f"aten.{target}", *((given,) if "cat" in target else given), shape=(4, 4, 4))
        (finding,) = found(MixedDtype, b.output(b.requantize(value, out)))
        assert finding.rewrite is not None
        assert finding.rewrite.exact
        edits = [edit for edit in finding.rewrite.edits if isinstance(edit, Insert)]
        assert [(read[edit.value], edit.steps) for edit in edits] == [(name, (Pair(brought_to),)) for name in changed]


class TestTable:
    @pytest.mark.parametrize(("codes", "bad"), [(16000, True), (16384, True), (16500, False), (32767, False)])
    @pytest.mark.parametrize("release", ["1.2.0", "1.3.1"])
    def test_the_width_of_a_16_bit_table_before_1_4(self, codes: int, bad: bool, release: str) -> None:
        graph = unary("aten.sigmoid.default", WIDE, full_int16(1 / codes))
        assert bool(found(LookupTable, graph, "TOSA-1.0+INT+int16", release)) is bad

    @pytest.mark.parametrize("release", ["1.4.1", "1.5.1"])
    def test_releases_that_make_the_table_right_are_not_warned(self, release: str) -> None:
        graph = unary("aten.sigmoid.default", WIDE, full_int16(1 / 100))
        assert not found(LookupTable, graph, "TOSA-1.0+INT+int16", release)

    def test_a_table_from_int16_to_int32_is_one_that_the_backend_makes(self) -> None:
        """Arm's own test_sigmoid_32bit passes; it was announced as a crash."""
        wide = QParams.per_tensor(2.0**-23, 0, -(2**31), 2**31 - 1, "int32")
        assert not found(LookupTable, unary("aten.sigmoid.default", WIDE, wide), "TOSA-1.0+INT+int16")

    def test_a_function_that_is_not_known_is_not_guessed_at(self) -> None:
        graph = unary("aten.erfinv.default", WIDE, full_int16(1.0))
        assert not found(LookupTable, graph, "TOSA-1.0+INT+int16", "1.2.0")

    def test_a_table_without_output_qparams_is_another_rules(self) -> None:
        b = GraphBuilder()
        assert not found(LookupTable, b.output(b.call("aten.sigmoid.default", b.quantized_input("x", SHAPE, WIDE))))


class TestUint8:
    def test_a_uint8_input_requantized_is_healthy(self) -> None:
        b = GraphBuilder()
        x = b.requantize(b.dequantize(b.input("x", SHAPE, "uint8"), BYTES), NARROW)
        assert not found(InternalUint8, b.output(b.requantize(b.call("aten.relu.default", x), NARROW)))

    def test_a_float_quantized_to_uint8_is_wrong_where_the_delegate_does_it(self) -> None:
        """Found with the judge on 1.4.1 and 1.5.1: CAST saturates at 127."""
        b = GraphBuilder()
        x = b.requantize(b.quantized_input("x", SHAPE, BYTES), NARROW)
        graph = b.output(b.requantize(b.call("aten.relu.default", x), NARROW))
        assert [f.effect for f in found(InternalUint8, graph, "TOSA-1.0+INT+FP")] == [Effect.WRONG]
        assert [f.effect for f in found(InternalUint8, graph, "TOSA-1.0+INT")] == [Effect.EXACT]

    def test_uint8_straight_from_input_to_output_is_healthy(self) -> None:
        b = GraphBuilder()
        assert not found(InternalUint8, b.output(b.quantized_input("x", SHAPE, BYTES)))

    def test_one_of_two_readers_works_on_uint8(self) -> None:
        b = GraphBuilder()
        x = b.quantized_input("x", SHAPE, BYTES)
        healthy = b.call("aten.relu.default", b.requantize(x, NARROW))
        (finding,) = found(InternalUint8, b.output(b.requantize(healthy, NARROW), b.call("aten.sigmoid.default", x)))
        assert "sigmoid" in finding.nodes
        assert "relu" not in finding.nodes
        assert finding.effect is Effect.CRASH


@pytest.mark.parametrize("spec", ["TOSA-1.0+INT", "TOSA-1.0+INT+FP"])
def test_what_reads_uint8_codes_made_from_a_float_stays_delegated(spec: str) -> None:
    """Arm's test_quantize_io_tosa_INT_uint8_numeric: the DQ and Q after them belong to the accelerator."""
    (example,) = (example for example in InternalUint8.bad if "float input" in example.title)
    (finding,) = found(InternalUint8, example.graph(), spec)
    assert len(finding.cluster) == 1
    assert "quantize" in finding.cluster[0]
    (finding,) = found(InternalUint8, example.graph(), spec, "1.2.0")
    assert len(finding.cluster) > 1, "that release has no uint8 RESCALE"
