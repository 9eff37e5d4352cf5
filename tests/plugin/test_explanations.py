"""A proof says by which model a difference was accepted: none is left unexplained, and no other model is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")
pytest.importorskip("tosa_reference_model")

import torch  # noqa: E402
from click.testing import CliRunner  # noqa: E402

from fuseguard.backend.releases import FUSES_ANY_ZERO_POINT  # noqa: E402
from fuseguard.cli.main import cli  # noqa: E402
from fuseguard.executorch import Proof, prove  # noqa: E402
from fuseguard.executorch.explanations import MEANINGS, Explanation, of_all_calls  # noqa: E402
from fuseguard.executorch.float64 import run_exactly, shaken_outputs  # noqa: E402
from fuseguard.executorch.materialize import materialize  # noqa: E402
from fuseguard.ir import Graph, QParams  # noqa: E402
from fuseguard.ir.builder import GraphBuilder, full_int16, int8  # noqa: E402
from fuseguard.schemas import load_schema  # noqa: E402
from fuseguard.target import Target  # noqa: E402
from fuseguard_rules.examples.boundary import control_flow_graphs as control_flow  # noqa: E402
from fuseguard_rules.examples.fusion import islands  # noqa: E402
from fuseguard_testkit.stateful import through, with_image  # noqa: E402

TARGET = "TOSA-1.0+INT+FP"
SHAPE = (1, 4, 8, 8)
RUN = "fuseguard.executorch.float64.run_exactly"
SATURATED = "fuseguard.executorch.outputs.saturate_at_dtype"
OFF_BY = "fuseguard.executorch.outputs.off_by"
SCALES = "fuseguard.backend.int32_rescales.smallest_scales"
BYPASSES = "fuseguard.backend.int32_rescales.bypasses"
LOOPS = "fuseguard.backend.control_flow.loop_roundings"
TABLES = "fuseguard.backend.lookup_table.table_error"


def proof_of(graph: Graph, inputs: tuple[Any, ...] = (), target: str = TARGET) -> Proof:
    program, drawn = materialize(graph)
    return prove(program, inputs or drawn, target)


def named(proof: Proof) -> dict[str, Explanation]:
    return {item.name: item for item in proof.explained_by}


def two_operands(kind: str, first: QParams, second: QParams, out: QParams) -> Graph:
    b = GraphBuilder()
    x, y = b.quantized_input("x", SHAPE, first), b.quantized_input("y", SHAPE, second)
    return b.output(b.requantize(b.call(f"aten.{kind}", x, y), out))


def test_what_is_equal_needs_no_explanation() -> None:
    proof = proof_of(relu())
    assert (proof.outcome, proof.mismatches, proof.explained_by) == ("exact", 0, ())


def relu() -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, int8(0.05, 3))
    return b.output(b.requantize(b.call("aten.relu.default", x), int8(0.05, 3)))


def test_ties_are_told_with_the_outputs_that_they_are_in() -> None:
    """From 0.05 to 0.02 every other code lies on a tie; the first output is none."""
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, int8(0.05, 7))
    value = b.call("aten.avg_pool2d.default", x, (2, 2), (2, 2), shape=(1, 4, 4, 4))
    for qparams in (int8(0.05, 7), int8(0.02, 3)):
        value = b.requantize(value, qparams)
    proof = proof_of(b.output(b.requantize(b.call("aten.relu.default", x), int8(0.05, 7)), value))
    assert proof.outcome == "exact"
    assert proof.rounding_ties == proof.mismatches > 0
    assert proof.explained_by == (Explanation("rounding ties", (RUN,), proof.mismatches, ("output 1",)),)
    assert proof.explained_by[0].shared == ()


class Kept(torch.nn.Module):
    """A pool over four codes goes to the state in finer steps; the output has nothing to do with it."""

    state: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("state", torch.zeros(1, 4, 4, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        image = through(x, int8(0.05, 7))
        self.state.copy_(through(through(torch.nn.functional.avg_pool2d(image, 2), int8(0.05, 7)), int8(0.02, 3)))
        return through(image + image, int8(0.1, 7))


def test_ties_in_the_state_are_those_of_all_calls() -> None:
    proof = prove(*with_image(Kept()), TARGET)
    assert (proof.outcome, proof.calls) == ("exact", 3), proof
    (found,) = proof.explained_by
    assert (found.name, found.results) == ("rounding ties", ("buffer state",))
    assert found.elements == proof.rounding_ties == proof.mismatches > 0


def test_the_explanations_of_several_calls_are_summed_by_name() -> None:
    ties = Explanation("rounding ties", (RUN,), 2, ("buffer k",))
    first = (Explanation("int32 operands", (BYPASSES,), 3, ("output 0",)), ties)
    second = (Explanation("int32 operands", (SCALES,), 4, ("output 1", "output 0")),)
    assert of_all_calls([first, (), second]) == (
        Explanation("int32 operands", (BYPASSES, SCALES), 7, ("output 0", "output 1")),
        ties,
    )


def test_saturation_is_the_judges_own_model() -> None:
    proof = proof_of(islands.NARROW[0].graph())
    assert proof.outcome == "bounded"
    assert proof.rounding_ties == 0
    found = named(proof)
    assert found["saturation"].models == (SATURATED,)
    assert found["saturation"].shared == ()
    assert 0 < found["saturation"].elements <= proof.mismatches
    assert set(found) <= {"saturation", "rounding ties"}


def test_operands_at_the_smaller_scale_are_a_model_that_rules_share() -> None:
    """OP707: maximum rounds what it reads at the coarser scale to multiples of the finer one."""
    proof = proof_of(two_operands("maximum.default", int8(0.0637, 30), int8(0.0393, -7), int8(0.0599, 3)))
    assert proof.outcome == "bounded", proof
    found = named(proof)["int32 operands"]
    assert found.models == found.shared == (SCALES,)
    assert 0 < found.elements <= proof.mismatches


def additions() -> Graph:
    wide, narrow = int8(0.05), int8(0.01)
    b = GraphBuilder()
    x, y, z = (b.quantized_input(name, (1, 4), wide) for name in "xyz")
    value = b.requantize(b.call("aten.add.Tensor", x, y), narrow)
    return b.output(b.requantize(b.call("aten.add.Tensor", value, z), int8(0.1)))


@pytest.mark.skipif(Target.parse(TARGET).release_in("<1.3"), reason="FuseConsecutiveRescalesPass came with 1.3")
def test_quantize_ops_that_are_left_out_are_a_model_that_rules_share() -> None:
    """OP706: the first sum saturates at 1.27 in the program, and in no delegate."""
    proof = proof_of(additions(), tuple(torch.full((1, 4), value) for value in (1.0, 2.0, 0.5)))
    assert proof.outcome == "bounded", proof
    assert proof.explained_by == (Explanation("int32 operands", (BYPASSES,), 4, ("output 0",)),)


def test_int16_roundings_are_told_and_tables_only_where_they_matter() -> None:
    """A product is off by a step; a coarse table by many."""
    target = "TOSA-1.0+INT+int16"
    fine = full_int16(2.0**-14)
    product = proof_of(two_operands("mul.Tensor", fine, fine, fine), target=target)
    assert product.outcome in ("exact", "bounded"), product
    for item in product.explained_by:
        assert item.models == (OFF_BY,) if item.name == "int16 roundings" else item.name == "rounding ties"

    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, full_int16(12.0 / 2**15))
    table = b.output(b.requantize(b.call("aten.sigmoid.default", x), full_int16(2.0**-15)))
    program, inputs = materialize(table)
    proof = prove(program, inputs, target)
    assert proof.outcome == "bounded", proof
    found = named(proof)["int16 roundings"]
    assert found.models == (TABLES, OFF_BY)
    assert found.shared == (TABLES,)
    assert found.elements == proof.mismatches


def test_floats_within_the_tolerance_are_told_even_where_nothing_counts_as_different() -> None:
    """A gelu that is left in float in the delegate: torch and the reference model round its last bit differently."""
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, int8(0.05, 3))
    value = b.requantize(b.call("aten.tanh.default", x), int8(1 / 128))
    proof = proof_of(b.output(b.call("aten.gelu.default", value, annotated=False)))
    assert (proof.outcome, proof.mismatches) == ("exact", 0), proof
    (found,) = proof.explained_by
    assert (found.name, found.models) == ("float tolerance", ("fuseguard.executorch.comparing.differing_elements",))
    assert found.elements == int((proof.outputs[0] != proof.reference[0]).sum()) > 0


def test_nothing_explains_what_is_wrong() -> None:
    """A permute that changes the qparams is wrong on every release, a relu out of range since 1.5."""
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, int8(0.05, 3))
    moved = b.output(b.requantize(b.call("aten.permute.default", x, (0, 2, 3, 1), shape=(1, 8, 8, 4)), int8(0.02, -7)))
    graphs = [moved]
    if FUSES_ANY_ZERO_POINT.in_force(Target.parse(TARGET)):
        graphs.append(islands.OUT_OF_RANGE[0].graph())
    for graph in graphs:
        proof = proof_of(graph)
        assert (proof.outcome, proof.explained_by) == ("wrong", ())


@pytest.mark.parametrize("inside", [True, False])
def test_a_model_is_named_only_if_it_changed_a_value(inside: bool) -> None:
    program, inputs = materialize(control_flow.loop(inside=control_flow.FINER)() if inside else control_flow.loop()())
    used: set[str] = set()
    run_exactly(program, inputs, snapped=True, used=used)
    assert used == ({LOOPS} if inside else set())
    run_exactly(program, inputs, used=used)
    assert used == ({LOOPS} if inside else set())


def test_the_models_of_shaken_outputs_are_told_too() -> None:
    program, inputs = materialize(
        two_operands("maximum.default", full_int16(2e-4), full_int16(1.3e-4), full_int16(2e-4))
    )
    used: set[str] = set()
    shaken_outputs(program, inputs, Target.parse("TOSA-1.0+INT+int16"), snapped=True, used=used)
    assert used == {SCALES}


@pytest.mark.parametrize("guarded", [False, True])
def test_the_command_line_tells_it_as_the_schema_says(tmp_path: Path, guarded: bool) -> None:
    program, _ = materialize(two_operands("maximum.default", int8(0.0637, 30), int8(0.0393, -7), int8(0.0599, 3)))
    file = tmp_path / "model.pt2"
    torch.export.save(program, file)
    options = ["prove", str(file), "--trust", *(["--guard"] if guarded else [])]
    result = CliRunner().invoke(cli, [*options, "--output-format", "json"])
    document = json.loads(result.stdout)
    jsonschema.Draft202012Validator(load_schema("prove")).validate(document)
    told = {item["name"]: item for item in document["explained_by"]}
    assert told["int32 operands"]["shared_with_rules"] == [SCALES]
    assert set(told) <= MEANINGS.keys()
    text = CliRunner().invoke(cli, options).stdout
    assert "explained   int32 operands: " in text
    assert SCALES in text.replace("\n              ", "")
