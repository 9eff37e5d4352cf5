"""Examples of OP729, batch-norm-unfused."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.engine import Example
from fuseguard.ir import Graph, StoredAs
from fuseguard.ir.builder import GraphBuilder, int8

_DATA, _RESULT = int8(0.02, -10), int8(0.05, -20)
_IMAGE = (1, 4, 5, 5)


def _normed(
    shape: tuple[int, ...] = _IMAGE,
    weight: StoredAs = "parameter",
    bias: StoredAs = "parameter",
    statistics: StoredAs = "buffer",
    filter: StoredAs = "",
    filter_bias: StoredAs = "parameter",
    computed: bool = False,
    back: bool = True,
) -> Callable[[], Graph]:
    """A batch norm in float of a dequantized value; ``filter``: what the weight of a convolution before it is."""

    def build() -> Graph:
        b = GraphBuilder()
        value = b.requantize(b.call("aten.neg.default", b.quantized_input("x", shape, _DATA)), _DATA)
        if filter:
            w = b.constant("filter", (4, 4, 1, 1), "float32", stored_as=filter)
            offset = b.constant("filter_bias", (4,), "float32", stored_as=filter_bias)
            value = b.call("aten.conv2d.default", value, w, offset, shape=shape, annotated=False)
        factor = b.constant("weight", (4,), "float32", (0.5, 1.5, 2.0, 0.75), stored_as=weight)
        if computed:
            factor = b.call("aten.mul.Tensor", factor, 0.5, annotated=False)
        offset = b.constant("bias", (4,), "float32", (0.25, -0.5, 0.125, 0.5), stored_as=bias)
        mean = b.constant("mean", (4,), "float32", (0.125, -0.25, 0.0, 0.5), stored_as=statistics)
        variance = b.constant("variance", (4,), "float32", (0.5, 1.0, 2.0, 0.75), stored_as=statistics)
        value = b.call(
            "aten.batch_norm.default", value, factor, offset, mean, variance, False, 0.1, 1e-5, True, annotated=False
        )
        return b.output(b.requantize(value, _RESULT) if back else value)

    return build


BAD = (
    Example("weight that is a buffer", _normed(weight="buffer")),
    Example("bias that is a buffer", _normed(bias="buffer")),
    Example("weight and bias that are buffers, before the output", _normed(weight="buffer", bias="buffer", back=False)),
    Example("after a conv2d with a parameter, weight that is a buffer", _normed(filter="parameter", weight="buffer")),
    Example("after a conv2d whose bias is a buffer", _normed(filter="parameter", filter_bias="buffer")),
    Example("after a conv2d whose weight is a buffer", _normed(filter="buffer")),
    Example("mean and variance that are parameters", _normed(statistics="parameter")),
    Example("weight that an op computes", _normed(computed=True)),
    Example("batch norm of vectors", _normed((3, 4))),
    Example("batch norm of volumes", _normed((1, 4, 3, 3, 3))),
)

GOOD = (
    Example("weight and bias that are parameters", _normed()),
    Example("batch norm of sequences", _normed((2, 4, 5))),
    Example("after a conv2d, all parameters", _normed(filter="parameter")),
)
