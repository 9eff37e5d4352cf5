"""A batch norm or convolution in float whose constants are parameters, buffers or computed: the backend asks which.

Protects: OP723 and OP729, also from false alarms. A constant's kind is in the program's signature alone, so that no
example says all of it. What is announced must be what is judged, on every release.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")
pytest.importorskip("tosa_reference_model")

import torch  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from fuseguard import check  # noqa: E402
from fuseguard.executorch import prove, repair  # noqa: E402

Q = torch.ops.quantized_decomposed
PROFILE = "TOSA-1.0+INT+FP"
#: What a finding of the two rules announces and a proof shows.
BREAKS = ("wrong", "crash")


def requantized(x: torch.Tensor, scale: float, zero_point: int) -> torch.Tensor:
    codes = Q.quantize_per_tensor(x, scale, zero_point, -128, 127, torch.int8)
    return Q.dequantize_per_tensor(codes, scale, zero_point, -128, 127, torch.int8)


class Constants(torch.nn.Module):
    """An op in float between two quantized ones; ``buffers`` are no parameters, and those with ``!`` not persistent."""

    def __init__(self, op: Callable[[Any, torch.Tensor], torch.Tensor], buffers: str, ends: bool) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        shapes = {"w": (4,), "b": (4,), "filter": (4, 4, 3, 3), "line": (4, 4, 3), "matrix": (4, 4)}
        shapes |= {"mean": (4,), "var": (4,)}
        for name, shape in shapes.items():
            value = torch.rand(shape, generator=generator) + (0.5 if name in ("w", "var") else -0.5)
            if name in buffers.split() or f"{name}!" in buffers.split():
                self.register_buffer(name, value, persistent=f"{name}!" not in buffers.split())
            else:
                self.register_parameter(name, torch.nn.Parameter(value, requires_grad=False))
        self.op, self.ends = op, ends

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.op(self, requantized(-requantized(x, 0.05, 0), 0.05, 0))
        return requantized(y, 0.031, 3) if self.ends else y


def normed(m: Any, x: torch.Tensor) -> torch.Tensor:
    return F.batch_norm(x, m.mean, m.var, m.w, m.b)


def filtered(m: Any, x: torch.Tensor) -> torch.Tensor:
    return F.conv2d(x, m.filter, m.b)


CASES: dict[str, tuple[Callable[[Any, torch.Tensor], torch.Tensor], str, bool]] = {
    "norm": (normed, "mean var", True),
    "norm, weight a buffer": (normed, "mean var w", True),
    "norm, bias a buffer, at the output": (normed, "mean var b", False),
    "norm, mean a parameter": (normed, "var", True),
    "norm without weight": (lambda m, x: F.batch_norm(x, m.mean, m.var), "mean var", True),
    "norm, weight computed": (lambda m, x: F.batch_norm(x, m.mean, m.var, m.w * 2, m.b), "mean var", True),
    "norm of lines": (lambda m, x: normed(m, x[..., 0]), "mean var", True),
    "norm of vectors": (lambda m, x: normed(m, x[..., 0, 0]), "mean var", True),
    "norm of volumes": (lambda m, x: normed(m, x[..., None]), "mean var", True),
    "norm after a linear": (lambda m, x: normed(m, F.linear(x[..., 0, 0], m.matrix)), "mean var", True),
    "norm after a convolution": (lambda m, x: normed(m, filtered(m, x)), "mean var", True),
    "norm after a convolution, its bias a buffer": (lambda m, x: normed(m, filtered(m, x)), "mean var b", True),
    "norm after a fixed filter": (lambda m, x: normed(m, F.conv2d(x, m.filter)), "mean var filter", True),
    "norm after a conv1d": (lambda m, x: normed(m, F.conv1d(x[..., 0], m.line)), "mean var w", True),
    "filter": (filtered, "", True),
    "filter, a buffer": (filtered, "filter", True),
    "filter, not persistent": (filtered, "filter!", True),
    "filter, bias a buffer": (filtered, "b", True),
    "filter and relu": (lambda m, x: filtered(m, x).relu(), "filter", True),
    "filter and relu, at the output": (lambda m, x: filtered(m, x).relu(), "filter", False),
    "filter and clamp": (lambda m, x: filtered(m, x).clamp(-0.3, 0.5), "filter", True),
    "filter halved": (lambda m, x: 0.5 * filtered(m, x), "filter", False),
    "filter divided by channel": (lambda m, x: filtered(m, x) / m.w.reshape(1, 4, 1, 1), "filter", False),
    "filter multiplied by what is computed": (lambda m, x: filtered(m, x) * x[..., :2, :2], "filter", False),
    "filter multiplied by place": (lambda m, x: filtered(m, x) * m.matrix[:2, :2], "filter", False),
    "number divided by the filter": (lambda m, x: 0.5 / filtered(m, x).sigmoid(), "filter", False),
    "filter of lines": (lambda m, x: 0.5 * F.conv1d(x[..., 0], m.line), "line", False),
    "grouped filter": (lambda m, x: 0.5 * F.conv2d(x, m.filter[:, :2], groups=2), "filter", False),
    "filter read twice": (lambda m, x: (lambda y: y.sigmoid() + y * 0.5)(filtered(m, x)), "filter", False),
    "transposed filter": (lambda m, x: 0.5 * F.conv_transpose2d(x, m.filter), "filter", False),
    "linear": (lambda m, x: 0.5 * F.linear(x, m.matrix), "matrix", False),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_announced_is_what_breaks(name: str) -> None:
    program, inputs = exported(name)
    announced = {item.effect.value for item in found(program)} & {*BREAKS}
    proof = prove(program, inputs, PROFILE)
    assert (announced or {"exact"}) == {proof.outcome}, (name, proof.exception, [str(item) for item in found(program)])


@pytest.mark.parametrize("name", ["norm, weight a buffer", "norm after a fixed filter", "filter, not persistent"])
def test_a_buffer_becomes_a_parameter(name: str) -> None:
    program, inputs = exported(name)
    before = program.module()(*inputs)
    if not {item.effect.value for item in found(program)} & {*BREAKS}:
        pytest.skip("this release lowers it right")
    result = repair(program, PROFILE)
    assert result.applied
    assert not {item.effect.value for item in found(result.program)} & {*BREAKS}
    assert torch.equal(result.program.module()(*inputs), before)
    assert prove(result.program, inputs, PROFILE).outcome == "exact"
    assert {item.effect.value for item in found(program)} & {*BREAKS}, "the program that was given is unchanged"


def exported(name: str) -> tuple[torch.export.ExportedProgram, tuple[torch.Tensor]]:
    op, buffers, ends = CASES[name]
    inputs = (torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(1)),)
    return torch.export.export(Constants(op, buffers, ends).eval(), inputs, strict=True), inputs


def found(program: torch.export.ExportedProgram) -> list[Any]:
    return [item for item in check(program, PROFILE).findings if item.code.startswith("OP7")]


def test_a_convolution_that_lost_its_annotation_is_repaired_for_good() -> None:
    """Its weight is a DQ of stored codes: what is announced of it goes with the repair."""
    weight = torch.nn.Module()
    weight.register_buffer("codes", torch.ones(4, 4, 3, 3, dtype=torch.int8))

    class Filter(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            stored = Q.dequantize_per_tensor(self.weight.codes, 0.01, 0, -127, 127, torch.int8)
            return requantized(F.conv2d(requantized(-requantized(x, 0.05, 0), 0.05, 0), stored), 0.031, 3)

    inputs = (torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(1)),)
    program = torch.export.export(Filter().eval(), inputs, strict=True)
    result = repair(program, PROFILE)
    left = {item.effect.value for item in check(result.program, PROFILE).findings if item.code == "PL404"}
    assert left <= {"exact"}
    assert prove(result.program, inputs, PROFILE).outcome == "exact"
