"""Control-flow bodies are rewritten like the program itself, but for anchors, which the guard keeps."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")

import torch  # noqa: E402
from torch.export import ExportedProgram  # noqa: E402

import fuseguard  # noqa: E402
from fuseguard.executorch import prove, repair  # noqa: E402
from fuseguard.executorch.outputs import largest_difference  # noqa: E402

OPS = torch.ops.quantized_decomposed
NARROW, WIDE = 0.0487, 0.0791
TARGETS = ("TOSA-1.0+INT", "TOSA-1.0+INT+FP+cf")


def requantized(value: torch.Tensor, scale: float) -> torch.Tensor:
    numbers = (scale, 3, -128, 127, torch.int8)
    return OPS.dequantize_per_tensor(OPS.quantize_per_tensor(value, *numbers), *numbers)


class Branches(torch.nn.Module):
    """One branch changes its domain in a way that ``fault`` says, the other computes a tanh."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.register_buffer("weight", torch.randint(-127, 128, (4, 4, 1, 1), dtype=torch.int8))

    def forward(self, x: torch.Tensor, flag: torch.Tensor) -> torch.Tensor:
        def negated(value: torch.Tensor) -> torch.Tensor:
            return requantized(-requantized(value, NARROW), WIDE)

        def squashed(value: torch.Tensor, *unused: torch.Tensor) -> torch.Tensor:
            return requantized(torch.tanh(requantized(value, NARROW)), WIDE)

        def convolved(value: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
            value = torch.nn.functional.conv2d(requantized(value, NARROW), requantized(weight, 0.01))
            return requantized(torch.relu(value), WIDE)

        def nested(value: torch.Tensor) -> torch.Tensor:
            return torch.cond(flag, negated, squashed, (value,))

        value = requantized(x, NARROW)
        if self.fault == "conv2d":
            weight = OPS.dequantize_per_tensor(self.weight, 0.01, 0, -127, 127, torch.int8)
            value = torch.cond(flag, convolved, squashed, (value, weight))
        else:
            value = torch.cond(flag, nested if self.fault == "nested" else negated, squashed, (value,))
        return requantized(value, WIDE)


def branches(fault: str) -> tuple[ExportedProgram, list[tuple[torch.Tensor, ...]]]:
    """The program, and inputs for either branch."""
    generator = torch.Generator().manual_seed(0)
    image = 3 * torch.randn(1, 4, 8, 8, generator=generator)
    inputs = [(image, torch.tensor(flag)) for flag in (True, False)]
    with torch.no_grad():
        program = torch.export.export(Branches(fault).eval(), inputs[0])
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            if node.op == "call_function" and "quantize" not in str(node.target):
                node.meta["custom"] = {"_arm_annotation_info": {"quantized": True}}
    return program, inputs


@pytest.mark.parametrize("target", TARGETS)
def test_a_violation_in_a_body_is_fixed_there(target: str) -> None:
    program, inputs = branches("neg")
    result = repair(program, target)
    assert [(item.finding.code, item.finding.graph) for item in result.applied] == [("QD202", "true_graph_0")]
    assert result.remaining == ()
    assert not repair(result.program, target).applied
    assert all(largest_difference(program, result.program, item) == 0 for item in inputs)
    assert prove(program, inputs[0], target).outcome == "wrong"
    proof = prove(result.program, inputs[0], target)
    assert proof.outcome == "exact", proof
    assert "aten_neg_default" in proof.delegated
    assert "aten.neg.default" in prove(program, inputs[0], target, checks="guard").cpu_ops


def test_bodies_in_bodies_are_fixed_too() -> None:
    program, inputs = branches("nested")
    result = repair(program, TARGETS[0])
    assert [item.finding.graph for item in result.applied] == ["true_graph_0.true_graph_0"]
    assert not result.remaining
    assert all(largest_difference(program, result.program, item) == 0 for item in inputs)


def test_a_convolution_in_a_body_stays_the_guards() -> None:
    """No release lowers one whose weights are operands of a body: fixed it would be delegated, and lowering crash."""
    program, inputs = branches("conv2d")
    (finding,) = [item for item in fuseguard.check(program, TARGETS[0]).findings if item.code == "FU101"]
    assert finding.graph
    assert finding.refuse
    assert not finding.repairable
    result = repair(program, TARGETS[0])
    assert not result.applied
    assert [item.code for item in result.remaining] == ["FU101"]
    assert prove(program, inputs[0], TARGETS[0], checks="guard").outcome == "exact"
