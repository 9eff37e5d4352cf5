"""Examples of OP701, int16-conv-read-in-int32."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.engine import Example
from fuseguard.ir import Graph, QParams
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard_rules.examples.operator.int16_convs import INPUT, OUTPUT, conv


def _graph(*consumers: str, qparams: QParams = INPUT, permuted: bool = False) -> Callable[[], Graph]:
    """A convolution and its ``consumers``, the first one after a permute if ``permuted``."""

    def build() -> Graph:
        b = GraphBuilder()
        # A DQ for each reader, as the quantizer makes them.
        x = b.quantize(b.input("x", (1, 4, 8, 8)), qparams)
        y = b.quantize(conv(b, b.dequantize(x, qparams), "first", qparams), qparams)
        values = []
        for number, consumer in enumerate(consumers):
            data = b.dequantize(y, qparams)
            if permuted and number == 0:
                data = b.requantize(b.call("aten.permute.default", data, (0, 1, 3, 2)), qparams)
            if consumer == "conv":
                value = conv(b, data, "second", qparams)
            elif consumer == "itself":
                value = b.call("aten.mul.Tensor", data, data)
            elif consumer == "another":
                other = b.requantize(conv(b, b.dequantize(x, qparams), "other", qparams), qparams)
                value = b.call("aten.add.Tensor", data, other)
            else:
                value = b.call(f"aten.{consumer}", data, b.dequantize(x, qparams))
            values.append(b.requantize(value, OUTPUT if qparams is INPUT else int8(0.1031, -5)))
        return b.output(*values)

    return build


BAD = (
    Example("int16 conv into add", _graph("add.Tensor"), only_on=">=1.3", extensions=("int16",)),
    Example("int16 conv into mul", _graph("mul.Tensor"), only_on=">=1.3", extensions=("int16",)),
    Example(
        "int16 conv into add and conv",
        _graph("add.Tensor", "conv"),
        only_on=">=1.3",
        extensions=("int16",),
    ),
    Example(
        "int16 conv, permuted, into mul",
        _graph("mul.Tensor", permuted=True),
        only_on=">=1.3",
        extensions=("int16",),
    ),
    # 1.4 moves an op before both operands after the op again.
    Example("int16 conv multiplied by itself", _graph("itself"), only_on=">=1.3", extensions=("int16",)),
    Example("int16 conv added to another one", _graph("another"), only_on=">=1.3", extensions=("int16",)),
)

GOOD = (Example("int8 conv into add and conv", _graph("add.Tensor", "conv", qparams=int8(0.0487, 3))),)
