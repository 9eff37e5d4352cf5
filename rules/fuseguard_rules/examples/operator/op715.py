"""Examples of OP715, tensor-bounds-lose-scale."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fuseguard.engine import Example
from fuseguard.ir import Graph, QParams
from fuseguard.ir.builder import GraphBuilder, full_int16, int8

if TYPE_CHECKING:
    import torch

_SHAPE, _BOUND = (1, 4, 8, 8), (1, 4, 1, 1)
_CLAMP = "aten.clamp.Tensor"
_X, _LOWER, _UPPER, _OUT = int8(0.0487, 3), int8(0.0487, 3), int8(0.0211, -40), int8(0.0487, 3)


def _clamp(
    lower: QParams | None, upper: QParams | None, data: QParams = _X, result: QParams = _OUT
) -> Callable[[], Graph]:
    """A clamp with quantized inputs for bounds."""

    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", _SHAPE, data)
        low = b.quantized_input("lower", _BOUND, lower) if lower is not None else None
        high = b.quantized_input("upper", _BOUND, upper) if upper is not None else None
        return b.output(b.requantize(b.call(_CLAMP, x, low, high, shape=_SHAPE), result))

    return build


def _float_bounds() -> Graph:
    b = GraphBuilder()
    x, low, high = (b.input(name, shape) for name, shape in (("x", _SHAPE), ("lower", _BOUND), ("upper", _BOUND)))
    return b.output(b.call(_CLAMP, x, low, high, shape=_SHAPE, annotated=False))


def _program() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    from fuseguard_rules.examples.operator.shape_modules import clamped_by_channel

    return clamped_by_channel()


BAD = (
    # Before 1.4 Arm's quantizer leaves the bounds in float, which PL402 is about.
    Example(
        "clamp between two tensors of its own qparams",
        _clamp(_LOWER, _LOWER),
        _program,
        companions=("PL402",),
        only_on=">=1.5",
    ),
    Example("clamp whose upper bound has a scale of its own", _clamp(_LOWER, _UPPER)),
    Example("clamp whose input has a scale of its own", _clamp(_UPPER, _UPPER), only_on=">=1.5"),
    Example(
        "int16 clamp whose upper bound has a scale of its own",
        _clamp(full_int16(0.0002), full_int16(0.0001), full_int16(0.0002), full_int16(0.0002)),
        extensions=("int16",),
    ),
)

GOOD = (
    Example("clamp with one tensor for a bound", _clamp(None, _LOWER)),
    Example("clamp with one tensor of its own scale", _clamp(int8(2 * 0.0487), None)),
    Example("float clamp between two tensors", _float_bounds),
)
