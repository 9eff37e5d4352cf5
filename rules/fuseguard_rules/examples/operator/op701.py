"""Examples of OP701, int16-conv-read-in-int32."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.engine import Example
from fuseguard.ir import Graph, QParams
from fuseguard.ir.builder import GraphBuilder, int8

# Over the whole of int16: FU103's bounded saturation is not what these examples are about.
_INPUT = QParams.per_tensor(0.00031, 0, -32768, 32767, "int16")
_OUTPUT = QParams.per_tensor(0.00127, 0, -32768, 32767, "int16")


def _conv(b: GraphBuilder, data: str, name: str, qparams: QParams) -> str:
    weight = b.quantized_constant(f"{name}_weight", (4, 4, 3, 3), 0.0031)
    bias = b.quantized_constant(f"{name}_bias", (4,), qparams.scale * 0.0031, "int32")
    return b.call("aten.conv2d.default", data, weight, bias, (1, 1), (1, 1), shape=(1, 4, 8, 8))


def _graph(*consumers: str, qparams: QParams = _INPUT, permuted: bool = False) -> Callable[[], Graph]:
    """A convolution and its ``consumers``, the first one after a permute if ``permuted``."""

    def build() -> Graph:
        b = GraphBuilder()
        # A DQ for each reader, as the quantizer makes them.
        x = b.quantize(b.input("x", (1, 4, 8, 8)), qparams)
        y = b.quantize(_conv(b, b.dequantize(x, qparams), "first", qparams), qparams)
        values = []
        for number, consumer in enumerate(consumers):
            data = b.dequantize(y, qparams)
            if permuted and number == 0:
                data = b.requantize(b.call("aten.permute.default", data, (0, 1, 3, 2)), qparams)
            if consumer == "conv":
                value = _conv(b, data, "second", qparams)
            elif consumer == "itself":
                value = b.call("aten.mul.Tensor", data, data)
            elif consumer == "another":
                other = b.requantize(_conv(b, b.dequantize(x, qparams), "other", qparams), qparams)
                value = b.call("aten.add.Tensor", data, other)
            else:
                value = b.call(f"aten.{consumer}", data, b.dequantize(x, qparams))
            values.append(b.requantize(value, _OUTPUT if qparams is _INPUT else int8(0.1031, -5)))
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
