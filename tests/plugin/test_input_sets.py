"""Several input sets on one lowering, and programs with dynamic sizes that are judged for fixed ones.

Protects: a lowering for each input set, state that one set leaves to the next, a worst set that the figures hide, and
dynamic shapes that nobody can have judged.
"""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")
pytest.importorskip("tosa_reference_model")

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.export import Dim, ExportedProgram  # noqa: E402

from fuseguard.executorch import judge, prove  # noqa: E402
from fuseguard.executorch.dynamic_sizes import dynamic_sizes, with_sizes  # noqa: E402
from fuseguard.executorch.inputs import InputsError  # noqa: E402
from fuseguard.executorch.proof import Proof, of_input_sets  # noqa: E402
from fuseguard_testkit import stateful  # noqa: E402
from fuseguard_testkit.quantizing import quantize  # noqa: E402

TARGET = "TOSA-1.0+INT"


class Conv(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.conv(x))


def images(batch: int, seed: int = 0) -> tuple[torch.Tensor]:
    return (torch.randn(batch, 3, 6, 6, generator=torch.Generator().manual_seed(seed)),)


@pytest.fixture(scope="module")
def dynamic() -> ExportedProgram:
    return quantize(Conv(), images(2), TARGET, dynamic_shapes=({0: Dim("batch", min=1, max=8)},))


@pytest.fixture
def lowerings(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """One entry for each time that the judge lowers a program."""
    made: list[Any] = []
    lower = judge.lower_to_edge

    def counted(*args: Any) -> Any:
        made.append(args)
        return lower(*args)

    monkeypatch.setattr(judge, "lower_to_edge", counted)
    return made


def test_a_program_is_lowered_once_for_all_input_sets(lowerings: list[Any]) -> None:
    sets = [images(1, seed) for seed in range(3)]
    program = quantize(Conv(), sets[0], TARGET)
    proof = prove(program, sets, TARGET)
    assert len(lowerings) == 1
    assert [item.outcome for item in proof.by_inputs] == ["exact"] * 3
    for item, values in zip(proof.by_inputs, sets, strict=True):
        assert torch.equal(item.outputs[0], prove(program, values, TARGET).outputs[0])
    assert not prove(program, sets[0], TARGET).by_inputs
    assert not prove(program, sets[:1], TARGET).by_inputs


def test_every_input_set_starts_from_the_state_of_the_program() -> None:
    program, inputs = stateful.with_image(stateful.Delayed())
    one, other = prove(program, [inputs, inputs], TARGET).by_inputs
    assert one.calls == other.calls > 1
    assert all(torch.equal(a, b) for a, b in zip(one.outputs, other.outputs, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(one.reference, other.reference, strict=True))


def test_a_set_that_does_not_fit_is_named() -> None:
    program = quantize(Conv(), images(1), TARGET)
    with pytest.raises(InputsError, match=r"input set 2: input 'x' must be torch.float32 of shape \(1, 3, 6, 6\)"):
        prove(program, [images(1), images(2)], TARGET)
    with pytest.raises(InputsError, match="2 inputs are given, the program takes 1"):
        prove(program, (*images(1), *images(1)), TARGET)


def test_the_proof_is_that_of_the_worst_set() -> None:
    proofs = [
        Proof(outcome, "T", "1", max_error_steps=steps)
        for outcome, steps in (("exact", 0.0), ("wrong", 3.0), ("wrong", 7.0), ("bounded", 99.0))
    ]
    proof = of_input_sets(proofs)
    assert (proof.outcome, proof.max_error_steps, proof.worst) == ("wrong", 7.0, 3)
    assert proof.by_inputs == tuple(proofs)
    assert not proof.ok


def test_dynamic_sizes_are_named_with_their_places(dynamic: ExportedProgram) -> None:
    (size,) = dynamic_sizes(dynamic).values()
    assert size.places == ("x[0]",)
    assert (size.smallest, size.largest) == (1, 8)
    assert str(size) == f"{size.name} (x[0]: 1 to 8)"


def test_a_dynamic_program_is_judged_for_the_sizes_that_are_given(dynamic: ExportedProgram) -> None:
    (name,) = dynamic_sizes(dynamic)
    for key in (name, "x[0]"):
        proof = prove(dynamic, images(4), TARGET, dims={key: 4})
        assert proof.outcome == prove(quantize(Conv(), images(4), TARGET), images(4), TARGET).outcome, proof
        assert proof.delegates == 1
    fixed = with_sizes(dynamic, {name: 4})
    assert dynamic_sizes(fixed) == {}
    assert [node.name for node in fixed.graph.nodes] == [node.name for node in dynamic.graph.nodes]


def test_without_sizes_the_proof_says_which_to_give(dynamic: ExportedProgram) -> None:
    proof = prove(dynamic, images(2), TARGET)
    (size,) = dynamic_sizes(dynamic).values()
    if proof.delegates:  # 1.5.0 delegates nothing that has a dynamic size
        assert proof.outcome == "not_judged"
        assert f"--dim {size.name}=N" in proof.exception
        assert str(size) in proof.exception


@pytest.mark.parametrize(
    ("dims", "said"),
    [
        ({"batch": 4}, r"no dynamic size 'batch'; it has s\d+ \(x\[0\]: 1 to 8\)"),
        ({"x[0]": 9}, r"x\[0\] cannot be 9; the program allows s\d+ \(x\[0\]: 1 to 8\)"),
        ({}, r"sizes are missing: s\d+ \(x\[0\]: 1 to 8\)"),
    ],
)
def test_sizes_that_do_not_fit_are_told_before_anything_is_lowered(
    dynamic: ExportedProgram, lowerings: list[Any], dims: dict[str, int], said: str
) -> None:
    with pytest.raises(InputsError, match=said):
        prove(dynamic, images(4), TARGET, dims=dims)
    assert lowerings == []


def test_inputs_of_another_size_than_the_one_judged_are_told(dynamic: ExportedProgram) -> None:
    with pytest.raises(InputsError, match=r"must be torch.float32 of shape \(4, 3, 6, 6\)"):
        prove(dynamic, images(3), TARGET, dims={"x[0]": 4})


class Counted(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x).reshape(x.shape[0] * 3 + 1 - 1, -1)


def test_what_is_left_on_the_cpu_is_named() -> None:
    """``<built-in function mul>`` before: arithmetic on sizes is a function of Python's."""
    program = torch.export.export(Counted(), images(2), dynamic_shapes=({0: Dim("batch", min=1, max=8)},))
    proof = prove(program, images(2), TARGET)
    if proof.outcome == "crash":
        pytest.skip("1.2 cannot lower such arithmetic")
    names = proof.cpu_ops
    assert {"operator.mul", "aten.relu.default"} <= set(names), names
    assert not [name for name in names if " " in name]
