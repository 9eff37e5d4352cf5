"""Examples of OP727, int16-conv-branches-on-u55."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.engine import Example
from fuseguard.ir import Graph, QParams
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard_rules.examples.operator.int16_convs import INPUT, OUTPUT, conv

_SHAPE = (1, 4, 8, 8)


def _graph(*readers: str, qparams: QParams = INPUT) -> Callable[[], Graph]:
    """A convolution and its ``readers``, each with a DQ of its own. ``returned``: the program returns the value."""

    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantize(b.input("x", _SHAPE), qparams)
        y = b.quantize(conv(b, b.dequantize(x, qparams), "first", qparams), qparams)
        values = []
        for reader in readers:
            data = b.dequantize(y, qparams)
            if reader == "returned":
                values.append(data)
                continue
            if reader == "conv":
                value = conv(b, data, "second", qparams)
            elif reader == "permute":
                values.append(b.requantize(b.call("aten.permute.default", data, (0, 1, 3, 2)), qparams))
                continue
            elif reader == "abs":
                value = b.call("aten.abs.default", data)
            else:
                value = b.call(f"aten.{reader}", data, b.dequantize(x, qparams))
            values.append(b.requantize(value, OUTPUT if qparams is INPUT else int8(0.1031, -5)))
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
