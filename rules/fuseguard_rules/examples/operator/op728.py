"""Examples of OP728, weight-not-constant."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.engine import Example
from fuseguard.ir import Arg, Graph
from fuseguard.ir.builder import GraphBuilder, int8

_DATA, _WEIGHT, _RESULT = int8(0.02, -10), int8(0.013, 0, -127, 127), int8(0.05, -20)


def _with_weight(
    target: str,
    data: tuple[int, ...],
    weight: tuple[int, ...],
    result: tuple[int, ...],
    *rest: Arg,
    annotated: bool = True,
    biased: int = 0,
    computed: bool = True,
) -> Callable[[], Graph]:
    """A convolution or linear of two computed values, or of one and a constant; ``biased``: of so many channels."""

    def build() -> Graph:
        b = GraphBuilder()
        x = b.requantize(b.call("aten.neg.default", b.quantized_input("x", data, _DATA)), _DATA)
        if computed:
            w = b.requantize(b.call("aten.neg.default", b.quantized_input("w", weight, _WEIGHT)), _WEIGHT)
        else:
            w = b.quantized_constant("w", weight, _WEIGHT.scale)
        bias = None
        if biased and annotated:
            bias = b.quantized_constant("bias", (biased,), _DATA.scale * _WEIGHT.scale, "int32")
        elif biased:
            bias = b.constant("bias", (biased,), "float32")
        value = b.call(f"aten.{target}", x, w, bias, *rest, shape=result, annotated=annotated)
        return b.output(b.requantize(value, _RESULT))

    return build


_CONV = ("conv2d.default", (1, 4, 6, 6), (3, 4, 3, 3), (1, 3, 4, 4))
_LINEAR = ("linear.default", (4, 6), (3, 6), (4, 3))
_TRANSPOSED = ("conv_transpose2d.input", (1, 4, 6, 6), (4, 3, 3, 3), (1, 3, 8, 8))
_DEPTHWISE = ("conv2d.default", (1, 4, 6, 6), (4, 1, 3, 3), (1, 4, 4, 4))
_BY_CHANNEL: tuple[Arg, ...] = ((1, 1), (0, 0), (1, 1), 4)

BAD = (
    Example("conv2d with a computed weight", _with_weight(*_CONV, biased=3)),
    Example("conv2d with a computed weight, without a bias", _with_weight(*_CONV)),
    Example("conv2d with a computed weight, in float", _with_weight(*_CONV, annotated=False, biased=3)),
    Example("linear with a computed weight", _with_weight(*_LINEAR, biased=3)),
    Example("linear with a computed weight, in float", _with_weight(*_LINEAR, annotated=False)),
    Example("conv_transpose2d with a computed weight", _with_weight(*_TRANSPOSED, biased=3)),
    Example("depthwise conv2d with a computed weight", _with_weight(*_DEPTHWISE, *_BY_CHANNEL, biased=4)),
)

GOOD = (
    Example("conv2d with a stored weight", _with_weight(*_CONV, biased=3, computed=False)),
    Example("linear with a stored weight", _with_weight(*_LINEAR, computed=False)),
)
