"""Examples of OP727, int16-conv-branches-on-u55."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.engine import Example
from fuseguard.ir import Graph, QParams
from fuseguard.ir.builder import GraphBuilder, int8

# Over the whole of int16: FU103's bounded saturation is not what these examples are about.
_INPUT = QParams.per_tensor(0.00031, 0, -32768, 32767, "int16")
_OUTPUT = QParams.per_tensor(0.00127, 0, -32768, 32767, "int16")
_SHAPE = (1, 4, 8, 8)


def _conv(b: GraphBuilder, data: str, name: str, qparams: QParams) -> str:
    weight = b.quantized_constant(f"{name}_weight", (4, 4, 3, 3), 0.0031)
    bias = b.quantized_constant(f"{name}_bias", (4,), qparams.scale * 0.0031, "int32")
    return b.call("aten.conv2d.default", data, weight, bias, (1, 1), (1, 1), shape=_SHAPE)


def _graph(*readers: str, qparams: QParams = _INPUT) -> Callable[[], Graph]:
    """A convolution and its ``readers``, each with a DQ of its own. ``returned``: the program returns the value."""

    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantize(b.input("x", _SHAPE), qparams)
        y = b.quantize(_conv(b, b.dequantize(x, qparams), "first", qparams), qparams)
        values = []
        for reader in readers:
            data = b.dequantize(y, qparams)
            if reader == "returned":
                values.append(data)
                continue
            if reader == "conv":
                value = _conv(b, data, "second", qparams)
            elif reader == "permute":
                values.append(b.requantize(b.call("aten.permute.default", data, (0, 1, 3, 2)), qparams))
                continue
            elif reader == "abs":
                value = b.call("aten.abs.default", data)
            else:
                value = b.call(f"aten.{reader}", data, b.dequantize(x, qparams))
            values.append(b.requantize(value, _OUTPUT if qparams is _INPUT else int8(0.1031, -5)))
        return b.output(*values)

    return build


BAD = tuple(
    Example(f"int16 conv into {title}", _graph(*readers), only_on=">=1.5", extensions=("int16",), companions=("OP701",))
    for title, readers in {
        "add and conv": ("add.Tensor", "conv"),
        "add and permute": ("add.Tensor", "permute"),
        "add, and returned": ("add.Tensor", "returned"),
        "maximum and minimum": ("maximum.default", "minimum.default"),
        "abs and add": ("abs", "add.Tensor"),
    }.items()
)

GOOD = (
    Example("int16 conv into conv and permute", _graph("conv", "permute"), extensions=("int16",)),
    Example("int8 conv into add and permute", _graph("add.Tensor", "permute", qparams=int8(0.0487, 3))),
    Example("int16 conv into the same add twice", _graph("add.Tensor", "add.Tensor"), extensions=("int16",)),
)
