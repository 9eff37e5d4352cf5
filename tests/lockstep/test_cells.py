"""Lockstep says where a lowering goes wrong, and nowhere else.

Each test has a fault in a known place. What only follows from it must not be listed, and a right lowering has no wrong
place at all. The last test holds both against the end-to-end judge on every example of the rules.
"""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")
pytest.importorskip("tosa_reference_model")

import math  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.export import ExportedProgram  # noqa: E402

from fuseguard.engine import Example, Rule, load_registry  # noqa: E402
from fuseguard.executorch import Proof, prove, reference_model  # noqa: E402
from fuseguard.executorch.keeping import Kept  # noqa: E402
from fuseguard.executorch.lockstep.histogram import MOST_BINS, histogram  # noqa: E402
from fuseguard.executorch.lockstep.observing import Observed  # noqa: E402
from fuseguard.executorch.lockstep.walking import Assumptions, Walks  # noqa: E402
from fuseguard.executorch.materialize import materialize  # noqa: E402
from fuseguard.ir import Graph  # noqa: E402
from fuseguard.ir.builder import GraphBuilder, full_int16, int8  # noqa: E402
from fuseguard.target import Target  # noqa: E402
from fuseguard_testkit.quantizing import quantize  # noqa: E402

INT = "TOSA-1.0+INT"
INT16 = "TOSA-1.0+INT+int16"
#: FUSES_ANY_ZERO_POINT of the backend: FU101 is wrong from here on.
FUSES = Target.parse(INT).release_in(">=1.5")
Program = tuple[ExportedProgram, tuple[torch.Tensor, ...]]


def test_the_digits_of_a_cat_are_found_at_the_relu_and_not_after_it() -> None:
    """conv -> relu into a cat with a signed branch, a second conv and a sigmoid after it (FU101)."""

    class Joined(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.conv = nn.Conv2d(3, 4, 3, padding=1)
            self.second = nn.Conv2d(4, 4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            value = torch.relu(self.conv(x))
            return torch.sigmoid(self.second(torch.cat([value[:, :2], x[:, :2]], 1)))

    inputs = (torch.randn(1, 3, 6, 6, generator=torch.Generator().manual_seed(0)),)
    proof = prove(quantize(Joined(), inputs, INT), inputs, INT, locate=True)
    if not FUSES:
        assert proof.outcome == "exact"
        return
    assert proof.outcome == "wrong"
    (cell,) = proof.wrong_cells
    assert cell.ops == ("conv2d", "relu")
    assert cell.findings == ("FU101",)
    assert cell.source.endswith(".py:" + cell.source.rpartition(":")[2])
    assert cell.steps > 10
    assert cell.actual < cell.expected, "the clamp at zero is lost"
    assert sum(count for _, count in cell.errors) == cell.differing
    assert cell.errors[0][0] == -cell.steps
    assert cell.sqnr_db is not None
    assert cell.sqnr_db < 60
    assert proof.cells[0].sqnr_db == math.inf, "before the fault"
    assert {item.status for item in proof.cells} == {"exact", "wrong"}


def _two_faults() -> Graph:
    """Two permutes that change the qparams, each wrong by itself, with a sigmoid between and one after them."""
    b = GraphBuilder()
    value = b.quantized_input("x", (1, 4, 4, 4), int8(0.0487, 3))
    for scale in (0.0243, 0.0011):
        value = b.requantize(b.call("aten.permute.default", value, (0, 1, 3, 2)), int8(scale, -7))
        value = b.requantize(b.call("aten.sigmoid.default", value), int8(0.0039, -128))
    return b.output(value)


def test_two_faults_are_two_places() -> None:
    """The first sigmoid reads wrong codes and is right about them; so is the second."""
    proof = prove(*materialize(_two_faults()), INT, locate=True)
    assert proof.outcome == "wrong"
    assert [cell.ops for cell in proof.wrong_cells] == [("permute",), ("permute_1",)]
    assert [cell.findings for cell in proof.wrong_cells] == [("QD202",), ("QD202",)]
    assert all(cell.status in ("exact", "tie") for cell in proof.cells if cell not in proof.wrong_cells)


def test_the_worst_element_has_a_witness() -> None:
    """The witness is the operand's code at the worst element, if the shapes are the same."""
    b = GraphBuilder()
    value = b.quantized_input("x", (1, 9, 1, 1), int8(0.0487, 3))
    value = b.requantize(b.call("aten.permute.default", value, (0, 1, 3, 2)), int8(0.0243, -7))
    proof = prove(*materialize(b.output(value)), INT, locate=True)
    (cell,) = proof.wrong_cells
    ((operand, code),) = cell.witness
    assert operand in cell.operands
    # A permute hands codes on as they are.
    assert cell.actual == code
    assert cell.expected == max(-128, min(127, round((code - 3) * 0.0487 / 0.0243) - 7))


def test_cells_are_judged_on_request() -> None:
    b = GraphBuilder()
    value = b.quantized_input("x", (2, 5), int8(0.0487, 3))
    program = materialize(b.output(b.requantize(b.call("aten.sigmoid.default", value), int8(0.0039, -128))))
    alone = prove(*program, INT)
    assert (alone.outcome, alone.end_to_end, alone.cells) == ("exact", "", ())
    proof = prove(*program, INT, locate=True)
    assert (proof.outcome, proof.end_to_end) == ("exact", "exact")
    assert [cell.status for cell in proof.cells] == ["exact"] * 3
    assert [cell.ops for cell in proof.cells] == [(), ("sigmoid",), ()]
    assert all(cell.sqnr_db == math.inf for cell in proof.cells)


def test_the_delegates_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run with all tensors visible serves both judges."""
    runs: list[int] = []
    run = reference_model._run

    def counted(*args: Any) -> Any:
        runs.append(len(args))
        return run(*args)

    monkeypatch.setattr(reference_model, "_run", counted)
    proof = prove(*materialize(_two_faults()), INT, locate=True)
    assert len(runs) == proof.delegates == 1


def test_it_says_what_it_does() -> None:
    said: list[str] = []
    proof = prove(*materialize(_two_faults()), INT, locate=True, progress=said.append)
    quantizers = len(proof.cells) - 1
    phases = ["running the eager program", "lowering", "running the delegates", "comparing the results"]
    assert said[:4] == phases
    assert said[4:] == [f"cell {number % quantizers + 1} of {quantizers}" for number in range(len(said) - 4)]


def test_what_float64_cannot_compute_leaves_the_proof_without_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof itself failed: --locate is the default of the command. Later, it said nothing of what was left out."""

    def refuses(*_: object) -> None:
        raise RuntimeError("expected scalar type Float but found Double")

    monkeypatch.setattr("fuseguard.executorch.judge.cells_of", refuses)
    proof = prove(*materialize(_two_faults()), INT, locate=True)
    assert proof.outcome == "wrong"
    assert proof.cells == ()
    [note] = proof.notes
    assert "does not run in float64 (expected scalar type Float but found Double)" in note
    assert "comparison end to end" in note


def test_a_value_that_is_computed_twice_is_read_from_either() -> None:
    """A layer norm subtracts the mean twice. Its variance was looked for after the wrong one, and nothing was found."""
    spread = torch.logspace(0, -2, 8).reshape(1, 8, 1)
    inputs = (torch.randn(1, 8, 16, generator=torch.Generator().manual_seed(1)) * spread,)
    proof = prove(quantize(nn.LayerNorm(16), inputs, INT16, "a16w8"), inputs, INT16, locate=True)
    assert proof.outcome == "wrong"
    (cell,) = proof.wrong_cells
    assert (cell.ops, cell.certain, cell.joined) == (("rsqrt",), True, ())
    assert "DT503" in cell.findings


def test_a_quantize_op_that_is_read_past_is_one_reader_s_own() -> None:
    """OP701: the add reads the convolution in int32, without its saturation; the second convolution reads the codes."""
    rule = next(rule for rule in load_registry().rules if rule.code == "OP701")
    example = next(item for item in rule.bad if item.title == "int16 conv into add and conv")
    proof = prove(*materialize(example.graph()), INT16, locate=True)
    if proof.end_to_end != "bounded":
        pytest.skip("another release does not lower it")
    assert (proof.outcome, proof.wrong_cells) == ("bounded", ())
    (add,) = (cell for cell in proof.cells if cell.ops[-1:] == ("add",) and cell.value != "output 0")
    assert (add.status, add.joined) == ("rounded", ("quantize_per_tensor_1",))


def test_codes_beyond_qmin_are_right_where_their_reader_takes_them_for_qmin() -> None:
    """A lookup table may have the entry of qmin at the code below it: the lowering is then what the program says.

    RESCALE saturates at -128 where the program saturates at -127. 1.5.1 fills the table like this; a release that does
    not has another fault here (DT505), at the same op.
    """
    b = GraphBuilder()
    step, shape, row = int8(0.0236, -17, -127), (1, 4, 8, 8), (1, 4, 8, 1)
    x = b.quantized_input("x", shape, step)
    largest = b.requantize(b.call("aten.amax.default", x, (3,), True, shape=row), step)
    minus = b.requantize(b.call("aten.sub.Tensor", x, largest, shape=shape), int8(0.0194, 0, -127))
    program = b.output(b.requantize(b.call("aten.exp.default", minus), int8(0.00392, -128)))
    proof = prove(*materialize(program), INT, locate=True, all_inputs=True)
    assert proof.outcome == proof.end_to_end
    if proof.outcome == "exact":
        assert {cell.status for cell in proof.cells} == {"exact"}
        (beyond,) = (cell for cell in proof.cells if cell.ops == ("sub",))
        assert (beyond.steps, beyond.expected, beyond.actual) == (1.0, -127.0, -128.0)
        assert proof.all_inputs is not None
        assert {cell.status for cell in proof.all_inputs.cells} == {"proved"}
        assert next(cell.count for cell in proof.all_inputs.cells if cell.ops == ("exp",)) == 256


def test_a_quantize_op_that_is_left_out_still_counts_for_the_scale() -> None:
    """Codes that are dequantized with half of their scale are halved, whether or not the quantize op rounds.

    The backend hands the codes on, which is wrong (QD202). Without the rounding, the cell was taken for right: the
    outcome was bounded, where the results of campaign programs 121 and 166 are off by up to 192 steps.
    """
    b = GraphBuilder()
    step = int8(0.02, 0)
    x, y = (b.quantized_input(name, (1, 4, 8, 8), step) for name in ("x", "y"))
    kept = b.quantize(b.call("aten.permute.default", x, (0, 1, 3, 2), shape=(1, 4, 8, 8)), step)
    halved = b.dequantize(kept, int8(0.01, 0))
    joined = b.call("aten.cat.default", (halved, y), 1, shape=(1, 8, 8, 8))
    proof = prove(*materialize(b.output(b.requantize(joined, step))), INT, locate=True, all_inputs=True)
    assert proof.outcome == proof.end_to_end
    if proof.outcome == "wrong":
        assert any("cat" in cell.ops for cell in proof.wrong_cells)
        assert proof.all_inputs is not None
        assert "refuted" in {cell.status for cell in proof.all_inputs.cells}


def test_a_quantize_op_that_is_left_out_still_saturates_codes() -> None:
    """A neg of codes hands them on with its operand's scale, where the program saturates at a millionth of it.

    The results are off by 100 steps (QD202 before 1.5). A value without rounding was not saturated either. The cell was
    taken for right on its unrounded operand, and the outcome was bounded (short campaign, program 20 on 1.4.1).
    """
    b = GraphBuilder()
    step, tiny = int8(0.02, 0), int8(0.02e-6, 0)
    x, y = (b.quantized_input(name, (1, 4, 8, 8), step) for name in ("x", "y"))
    minus = b.requantize(b.call("aten.neg.default", x), tiny)
    kept = b.call("aten.where.self", b.call("aten.lt.Tensor", x, y, dtype="bool"), minus, y)
    proof = prove(*materialize(b.output(b.requantize(kept, step))), INT, locate=True, all_inputs=True)
    assert proof.outcome == proof.end_to_end == "wrong"
    assert any({"neg", "where"} & set(cell.ops) for cell in proof.wrong_cells)
    assert proof.all_inputs is not None
    assert "refuted" in {cell.status for cell in proof.all_inputs.cells}


def test_another_value_with_the_expected_codes_is_not_taken_for_a_result() -> None:
    """A leaky_relu changes no positive value, so its operand has the codes that its result should have.

    The result is off by one step at the largest code, which a RESCALE to int16 may be. Lockstep took the operand for
    the value, and called the result wrong (campaign program 173).
    """
    b = GraphBuilder()
    step = full_int16(0.0002745)
    x = b.quantized_input("x", (1, 4, 8, 8), step)
    program, _ = materialize(b.output(b.requantize(b.call("aten.leaky_relu.default", x, 0.1), step)))
    positive = torch.linspace(0, 32767 * step.scale, 256).reshape(1, 4, 8, 8)
    proof = prove(program, (positive,), INT16, locate=True)
    assert proof.outcome == proof.end_to_end
    if proof.outcome == "bounded":
        (cell,) = (cell for cell in proof.cells if cell.ops == ("leaky_relu",))
        assert (cell.status, cell.steps) == ("rounded", 1.0)


def test_a_constant_is_not_looked_for_among_what_the_inputs_decide() -> None:
    """The backend folds the reshape into a constant. The codes of the sigmoid are nearly the same by chance."""
    b = GraphBuilder()
    whole = int8(1 / 255, -128)
    x = b.quantized_input("x", (1, 16), int8(0.05, 0))
    table = b.requantize(b.call("aten.sigmoid.default", x), whole)
    ones = b.requantize(b.call("aten.full.default", (16,), 1.0, shape=(16,)), whole)
    weight = b.requantize(b.call("aten.reshape.default", ones, (1, 16), shape=(1, 16)), whole)
    graph = b.output(b.requantize(b.call("aten.mul.Tensor", table, weight), whole))
    program, _ = materialize(graph)
    inputs = (torch.linspace(5.6, 6.3, 16)[None],)
    proof = prove(program, inputs, INT, locate=True)
    assert (proof.outcome, proof.end_to_end, proof.wrong_cells) == ("exact", "exact", ())


def test_what_reads_a_constant_need_not_be_computed_from_the_tensor_with_its_codes() -> None:
    """The lowering has folded the constant. A tensor that it computes from others has the same codes, and no reader."""
    b = GraphBuilder()
    qparams = int8(0.05, 0)
    x = b.quantized_input("x", (1, 16), qparams)
    zeros = b.requantize(b.call("aten.full.default", (16,), 0.0, shape=(16,)), qparams)
    folded = b.requantize(b.call("aten.reshape.default", zeros, (1, 16), shape=(1, 16)), qparams)
    program, inputs = materialize(b.output(b.requantize(b.call("aten.add.Tensor", x, folded), qparams)))
    codes = Walks(program, inputs, Observed()).eager[0]
    observed = Observed(given=frozenset({("", "x")}))
    observed._add(("", "x"), "x", [], None)
    observed._add(("delegate 0", "entered"), "RESCALE", [("", "x")], Kept.of(codes["quantize_per_tensor"]))
    observed._add(("delegate 0", "other"), "RESHAPE", [], Kept.of(np.zeros(16, np.int8)))
    summed = Kept.of(codes["quantize_per_tensor_3"])
    observed._add(("delegate 0", "sum"), "RESCALE", [("delegate 0", "entered")], summed)
    found = {item.name: str(item.tensor) for item in Walks(program, inputs, observed).walk(Assumptions()).meetings}
    assert found["quantize_per_tensor_2"] == "other of delegate 0"
    assert found["quantize_per_tensor_3"] in ("entered of delegate 0", "sum of delegate 0")


def test_limits_are_the_users_own() -> None:
    proof = prove(*materialize(_two_faults()), INT)
    assert proof.exceeded() == ()
    assert len(proof.exceeded(min_sqnr=1000.0, max_steps=0.0)) == 2
    assert proof.exceeded(min_sqnr=-1000.0, max_steps=1000.0) == ()


def test_a_value_without_dimensions_keeps_its_rank() -> None:
    """np.ascontiguousarray gives such an array a dimension. Stacked, they were (2, 1) and compared with (2,)."""
    qparams = int8(0.0237, -3)
    b = GraphBuilder()
    x, y = (b.quantized_input(name, (), qparams) for name in ("x", "y"))
    joined = b.call("aten.stack.default", (x, y), shape=(2,))
    proof = prove(*materialize(b.output(b.requantize(joined, qparams))), INT, locate=True)
    assert (proof.outcome, proof.end_to_end, proof.wrong_cells) == ("exact", "exact", ())


def _cases() -> list[object]:
    """Every sixth example of the rules, the profiles by turns; all of them with -m thorough."""
    found: list[object] = []
    number = 0
    for rule in load_registry().rules:
        for example in (*rule.bad, *rule.good):
            if example.graph is None:
                continue
            for profile in (INT, "TOSA-1.0+INT+FP"):
                marks = [] if number % 12 == 0 else [pytest.mark.thorough]
                name = f"{rule.code}-{example.title}-{profile.removeprefix('TOSA-1.0+')}"
                found.append(pytest.param(rule, example, example.spec(profile), id=name, marks=marks))
                number += 1
    return found


#: What the comparison end to end allows for, and cells cannot: the bodies of control flow round by themselves, and a
#: quantize op whose qmin is above its qmax has no codes.
DOUBTFUL = ("while_loop with finer qparams inside", "qmin above qmax between add and mul")


@pytest.mark.parametrize(("rule", "example", "spec"), _cases())
def test_the_two_judges_agree(rule: Rule, example: Example, spec: str) -> None:
    """Wrong end to end is wrong in a place that a rule names, and right end to end is wrong nowhere."""
    build: Callable[[], Graph] | None = example.graph
    assert build is not None
    proof: Proof = prove(*materialize(build()), spec, locate=True)
    assert proof.outcome == (proof.end_to_end or proof.outcome)
    if proof.outcome == "wrong":
        assert proof.wrong_cells, proof
        assert any(cell.findings for cell in proof.wrong_cells), proof.wrong_cells
    elif example.title not in DOUBTFUL:
        assert proof.wrong_cells == ()


def test_a_histogram_counts_every_differing_element_once() -> None:
    differences = np.array([[-200, 0, 3], [4, 4, 55]])
    found = histogram(differences, differences != 0)
    assert sum(count for _, count in found) == 5
    assert found[0] == (-200.0, 1)
    assert len(found) <= MOST_BINS
    assert histogram(np.array([7, 7]), np.array([True, True])) == ((7.0, 2),)
    narrow = dict(histogram(np.arange(-3, 4), np.arange(-3, 4) != 0))
    assert narrow == {-3.0: 1, -2.0: 1, -1.0: 1, 0.0: 0, 1.0: 1, 2.0: 1, 3.0: 1}
