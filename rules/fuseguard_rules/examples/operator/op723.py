"""Examples of OP723, scaled-weight-is-buffer."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.engine import Example
from fuseguard.ir import Arg, Graph, StoredAs
from fuseguard.ir.builder import GraphBuilder, int8

_DATA, _RESULT, _POSITIVE = int8(0.02, -10), int8(0.05, -20), int8(0.05, -128)


def _filtered(
    target: str = "conv2d.default",
    data: tuple[int, ...] = (1, 4, 6, 6),
    weight: tuple[int, ...] = (4, 4, 3, 3),
    result: tuple[int, ...] = (1, 4, 4, 4),
    *rest: Arg,
    stored_as: StoredAs = "buffer",
    biased_by: StoredAs = "",
    factor: str = "",
    activation: str = "",
    read_twice: bool = False,
) -> Callable[[], Graph]:
    """A convolution in float with a stored weight, before a quantize op, or multiplied or divided (``factor``)."""

    def build() -> Graph:
        b = GraphBuilder()
        x = b.requantize(b.call("aten.neg.default", b.quantized_input("x", data, _DATA)), _DATA)
        w = b.constant("weight", weight, "float32", stored_as=stored_as)
        bias = b.constant("bias", (result[1],), "float32", stored_as=biased_by) if biased_by else None
        value = made = b.call(f"aten.{target}", x, w, bias, *rest, shape=result, annotated=False)
        if factor == "channels":
            scale = b.constant("scale", (1, result[1], *[1] * (len(result) - 2)), "float32", stored_as="parameter")
            value = b.call("aten.mul.Tensor", value, scale, annotated=False)
        elif factor:
            value = b.call(f"aten.{factor}.Tensor", value, 0.5, annotated=False)
        if activation:
            value = b.call(f"aten.{activation}.default", value, annotated=False)
        if factor:
            return b.output(b.call("aten.sigmoid.default", value, annotated=False))
        results = [b.requantize(value, _POSITIVE if activation == "relu" else _RESULT)]
        if read_twice:
            results.append(b.call("aten.sigmoid.default", made, annotated=False))
        return b.output(*results)

    return build


_LINE = ("conv1d.default", (1, 4, 6), (4, 4, 3), (1, 4, 4))
_VOLUME = ("conv3d.default", (1, 4, 5, 5, 5), (4, 4, 3, 3, 3), (1, 4, 3, 3, 3))
_DEPTHWISE = ("conv2d.default", (1, 4, 6, 6), (4, 1, 3, 3), (1, 4, 4, 4), (1, 1), (0, 0), (1, 1), 4)
_GROUPED = ("conv2d.default", (1, 4, 6, 6), (4, 2, 3, 3), (1, 4, 4, 4), (1, 1), (0, 0), (1, 1), 2)
_TRANSPOSED = ("conv_transpose2d.input", (1, 4, 6, 6), (4, 4, 3, 3), (1, 4, 8, 8))

BAD = (
    Example("conv2d with a buffer, before a quantize op", _filtered()),
    Example("conv2d with a bias that is a buffer", _filtered(stored_as="parameter", biased_by="buffer")),
    Example("conv2d and relu, before a quantize op", _filtered(activation="relu")),
    Example("conv2d multiplied by a number", _filtered(factor="mul")),
    Example("conv2d divided by a number", _filtered(factor="div")),
    Example("conv2d multiplied by channel", _filtered(factor="channels")),
    Example("depthwise conv2d", _filtered(*_DEPTHWISE)),
    Example("conv1d with a buffer", _filtered(*_LINE)),
    Example("conv3d with a buffer", _filtered(*_VOLUME)),
)

GOOD = (
    Example("conv2d with a parameter", _filtered(stored_as="parameter", biased_by="parameter")),
    Example("conv2d, then sigmoid in float", _filtered(activation="sigmoid")),
    Example("grouped conv2d with a buffer", _filtered(*_GROUPED)),
    Example("conv_transpose2d with a buffer", _filtered(*_TRANSPOSED)),
    Example("conv2d with a buffer, also read in float", _filtered(read_twice=True)),
)
