"""--all-inputs proves right cells, refutes wrong ones with codes that show it, and says what it could only sample."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")
pytest.importorskip("tosa_reference_model")

import torch  # noqa: E402
from torch import nn  # noqa: E402

from fuseguard.executorch import Proof, prove  # noqa: E402
from fuseguard.executorch.all_inputs.lowering_forms import Lowering  # noqa: E402
from fuseguard.executorch.all_inputs.results import CellProof  # noqa: E402
from fuseguard.executorch.copying import copy_program  # noqa: E402
from fuseguard.executorch.lowering import compile_spec_for, lower_to_edge  # noqa: E402
from fuseguard.executorch.materialize import materialize  # noqa: E402
from fuseguard.executorch.state import functional_program  # noqa: E402
from fuseguard.ir.builder import GraphBuilder, int8, int16  # noqa: E402
from fuseguard.report.all_inputs import render, to_dict  # noqa: E402
from fuseguard.report.lines import plain  # noqa: E402
from fuseguard.target import Target  # noqa: E402
from fuseguard_testkit.mutant_judge import Subject  # noqa: E402
from fuseguard_testkit.mutating import Network, Residual, lowered_to, rescaled  # noqa: E402
from fuseguard_testkit.quantizing import quantize  # noqa: E402

INT = "TOSA-1.0+INT"
FUSES = Target.parse(INT).release_in(">=1.5")


@pytest.fixture(scope="module")
def network() -> Proof:
    """One op for each way of proving."""
    inputs = (torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)),)
    return prove(quantize(Network(), inputs, INT), inputs, INT, all_inputs=True)


def _cell(proof: Proof, op: str) -> CellProof:
    assert proof.all_inputs is not None
    return next(cell for cell in proof.all_inputs.cells if any(op in name for name in cell.ops))


def test_each_cell_is_proved_by_its_own_method(network: Proof) -> None:
    found = network.all_inputs
    assert found is not None
    assert {cell.status for cell in found.cells} == {"proved"}, found.cells
    assert found.share_proved == 1.0
    methods = {op: _cell(network, op).method for op in ("conv2d", "sub", "sigmoid", "max_pool", "sum", "linear")}
    assert methods == {
        "conv2d": "weights and thresholds",
        "sub": "all pairs of codes",
        "sigmoid": "all codes",
        "max_pool": "all codes",
        "sum": "weights and thresholds",
        "linear": "weights and thresholds",
    }
    assert _cell(network, "sub").count == 1 << 16


def test_padded_averages_are_proved_where_the_zero_points_of_both_sides_differ() -> None:
    """The backend pads in an op of its own, and gives AVG_POOL2D other zero points than the program has."""
    residual = Subject.of(Residual(), 0)
    assert {cell.status for cell in residual.right.cells} == {"proved"}, residual.right.cells
    methods = {op: cell.method for cell in residual.right.cells for op in cell.ops}
    assert methods["pad"] == "all codes, constants"
    assert methods["avg_pool2d"] == "weights and thresholds"


def test_what_two_fused_ops_lose_is_shown_by_codes() -> None:
    """A relu whose clamp is lost (FU101): the codes are realizable operand codes, and the cell was run on them."""

    class Clamped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            value = torch.relu(self.conv(x))
            return torch.cat([value, x[:, :1, 1:-1, 1:-1]], 1)

    inputs = (torch.randn(1, 3, 6, 6, generator=torch.Generator().manual_seed(0)),)
    proof = prove(quantize(Clamped(), inputs, INT), inputs, INT, all_inputs=True)
    found = proof.all_inputs
    assert found is not None
    if not FUSES:
        assert not found.refuted
        return
    (cell,) = found.refuted
    assert cell.ops == ("conv2d", "relu")
    example = cell.counterexample
    assert example is not None
    assert example.expected > example.actual, "the clamp at zero is lost"
    assert example.codes
    text = plain(render(found))
    assert "refuted: conv2d -> relu" in text
    assert "may never produce" in text
    assert to_dict(found)["cells"]


def test_a_difference_that_these_inputs_do_not_reach_is_refuted() -> None:
    """A permute that changes the qparams; the inputs have one code, for which both are right."""
    b = GraphBuilder()
    value = b.quantized_input("x", (1, 2, 3, 4), int8(0.0487, 3))
    value = b.requantize(b.call("aten.permute.default", value, (0, 1, 3, 2)), int8(0.0243, 3))
    program, (x,) = materialize(b.output(value))
    proof = prove(program, (torch.zeros_like(x),), INT, all_inputs=True)
    assert proof.outcome == "exact"
    assert proof.all_inputs is not None
    (cell,) = proof.all_inputs.refuted
    assert cell.counterexample is not None
    ((_, at, code),) = cell.counterexample.codes[:1]
    assert code != 3
    assert len(at) == 4


def test_two_int16_operands_are_sampled() -> None:
    b = GraphBuilder()
    one = b.quantized_input("x", (1, 8), int16(0.0007))
    other = b.quantized_input("y", (1, 8), int16(0.0011))
    value = b.requantize(b.call("aten.add.Tensor", one, other), int16(0.0013))
    program, inputs = materialize(b.output(value))
    proof = prove(program, inputs, INT + "+int16", all_inputs=True)
    cell = _cell(proof, "add")
    assert (cell.status, cell.method) == ("sampled", "drawn codes")
    assert "too many combinations" in cell.reason
    assert cell.count > 1 << 16


def test_two_int16_operands_are_tried_where_the_output_changes() -> None:
    """A comparison that is off for one code of x in 2 ** 16, for half of the negative codes of y, and for no extreme.

    y is one and a half steps of x. An odd negative code lies halfway between two codes of x, and RESCALE rounds it up.
    With a multiplier that is larger by 2 ** -18, it is rounded down.
    """
    b = GraphBuilder()
    x, y = b.quantized_input("x", (1, 8), int16(0.001)), b.quantized_input("y", (1, 8), int16(0.0015))
    program, inputs = materialize(b.output(b.call("aten.lt.Tensor", x, y, dtype="bool")))
    target = Target.parse(INT + "+int16")
    lowering = Lowering(lower_to_edge(copy_program(program), compile_spec_for(target)).program)
    subject = Subject(functional_program(program), inputs, lowering, target)
    assert not subject.right.refuted
    found = []
    for mutant in rescaled(lowering, 1 + 2**-18):
        with lowered_to(lowering, mutant):
            found += subject.proved(None).refuted
    assert found
    example = found[0].counterexample
    assert example is not None
    codes = {name: code for name, _, code in example.codes}
    left, right = codes["quantize_per_tensor"], codes["quantize_per_tensor_1"]
    assert abs(left - 1.5 * right) <= 1, "at the threshold"


def test_values_without_dimensions_keep_their_rank() -> None:
    """np.ascontiguousarray gives such an array a dimension: what was joined with a vector had two then."""
    qparams = int8(0.0237, -3)
    b = GraphBuilder()
    number, vector = b.quantized_input("x", (), qparams), b.quantized_input("y", (3,), qparams)
    one = b.call("aten.unsqueeze.default", number, 0, shape=(1,))
    joined = b.requantize(b.call("aten.cat.default", (one, vector), shape=(4,)), qparams)
    doubled = b.requantize(b.call("aten.add.Tensor", number, number), int8(0.0474, 5))
    proof = prove(*materialize(b.output(joined, doubled)), INT, all_inputs=True)
    found = proof.all_inputs
    assert found is not None
    inside = [cell for cell in found.cells if cell.operands]
    assert {(cell.status, cell.reason) for cell in inside} == {("proved", "")}, inside


def test_nothing_is_proved_where_nothing_runs_and_unless_asked() -> None:
    b = GraphBuilder()
    value = b.quantized_input("x", (2, 5), int8(0.0487, 3))
    program = materialize(b.output(b.requantize(b.call("aten.sigmoid.default", value), int8(0.0039, -128))))
    assert prove(*program, INT).all_inputs is None
