"""What a narrow range (qmin above the dtype's minimum) makes of a lowering is computed, wherever its Qs end up.

Protects: "bounded" as a verdict that is neither too strict (lookup tables and the CPU keep qmin) nor a tolerance.
"""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]

pytest.importorskip("executorch")
pytest.importorskip("tosa_reference_model")

import torch  # noqa: E402

from fuseguard.executorch import prove  # noqa: E402
from fuseguard.executorch.copying import copy_program  # noqa: E402
from fuseguard.executorch.lowering import compile_spec_for, lower_to_edge  # noqa: E402
from fuseguard.executorch.outputs import saturate_at_dtype  # noqa: E402
from fuseguard.executorch.quantizing import quantize  # noqa: E402
from fuseguard.target import Target  # noqa: E402


class LogSoftmax(torch.nn.Module):
    """Its exp and log are lookup tables, which see qmin for the code below it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = torch.nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.log_softmax(self.linear(x), -1)


class Sin(torch.nn.Module):
    """A lookup table, were it not left in float."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sin(x) * 3.0


class Angle(torch.nn.Module):
    """No TOSA op, not even with float support."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.atan2(x, x)


class FloatMiddle(torch.nn.Module):
    """The middle, left in float, stays on the CPU with the Q after it."""

    def __init__(self, middle: torch.nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.middle, self.last = torch.nn.Linear(6, 6), middle, torch.nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.middle(self.first(x)))


@pytest.mark.parametrize(
    ("module", "unquantized"),
    [(LogSoftmax(), ()), (FloatMiddle(torch.nn.Softplus()), ("middle",))],
)
@pytest.mark.parametrize("beyond", [1.0, 3.0])
def test_a_narrow_program_is_exact_or_bounded(
    module: torch.nn.Module, unquantized: tuple[str, ...], beyond: float
) -> None:
    """``beyond`` 1: calibrated on what is run; 3: most of the ranges are left."""
    torch.manual_seed(1)
    x = torch.randn(4, 6)
    program = quantize(module, (x,), "TOSA-1.0+INT", "int8-narrow", unquantized)
    proof = prove(program, (beyond * x,), "TOSA-1.0+INT")
    assert proof.delegated_ops
    shifted = isinstance(module, LogSoftmax) and Target.parse("TOSA-1.0+INT").release_in("<1.3")
    assert proof.outcome == "wrong" if shifted else proof.ok, proof  # DT505


def test_a_table_op_left_in_float_sees_what_it_is_given() -> None:
    torch.manual_seed(1)
    x = torch.randn(4, 6)
    program = quantize(FloatMiddle(Sin()), (x,), "TOSA-1.0+INT", "int8-narrow", ("middle",))
    widened = saturate_at_dtype(program)
    assert widened is not None
    (sin,) = (node for node in widened.graph.nodes if "sin" in str(node.target))
    assert "clamp" not in str(sin.args[0].args[0])


def test_an_activation_that_writes_in_place_overwrites_nothing_in_the_variant() -> None:
    """Fused away, its result is one code below the program's, not the program's result."""
    torch.manual_seed(1)
    x = torch.randn(4, 6)
    module = torch.nn.Sequential(torch.nn.Linear(6, 6), torch.nn.ReLU(inplace=True))
    program = quantize(module, (x,), "TOSA-1.0+INT", "int8-narrow")
    assert any("relu_" in str(node.target) for node in program.graph.nodes)
    proof = prove(program, (x,), "TOSA-1.0+INT")
    assert proof.outcome == "bounded", proof


def test_saturation_is_left_alone_where_no_rescale_comes_of_a_q() -> None:
    """The variant that explains "bounded" must not allow for more than the backend does."""
    torch.manual_seed(1)
    x = torch.randn(4, 6)
    program = quantize(LogSoftmax(), (x,), "TOSA-1.0+INT", "int8-narrow")
    widened = saturate_at_dtype(program)
    assert widened is not None
    limits = {str(node.args[0]): node.args[3] for node in widened.graph.nodes if "quantize_per_tensor" in node.name}
    assert limits["linear"] == -128
    assert limits["exp"] == limits["log"] == limits["x"] == -127
    on_cpu = {node.name for node in program.graph.nodes if str(node.args[:1]) == "(linear,)"}
    kept = saturate_at_dtype(program, on_cpu)
    assert kept is not None
    assert next(node.args[3] for node in kept.graph.nodes if node.name in on_cpu) == -127


@pytest.mark.parametrize("profile", ["TOSA-1.0+INT", "TOSA-1.0+INT+FP"])
def test_a_q_of_floats_keeps_its_range_on_the_cpu_and_first_in_a_delegate(profile: str) -> None:
    """With float support a Q after the CPU is clamped inside the next delegate; it was taken for a RESCALE there."""
    torch.manual_seed(1)
    x = torch.randn(4, 6)
    program = quantize(FloatMiddle(Angle()), (x,), profile, "int8-narrow", ("middle",))
    quantizers = {str(node.args[0]): node.name for node in program.graph.nodes if "quantize_per_tensor" in node.name}
    lowered = lower_to_edge(copy_program(program), compile_spec_for(Target.parse(profile)))
    assert quantizers["atan2"] in lowered.float_quantizers
    assert quantizers["linear"] not in lowered.float_quantizers
