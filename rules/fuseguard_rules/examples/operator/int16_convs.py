"""The int16 convolution of the examples of OP701 and OP727."""

from __future__ import annotations

from fuseguard.ir import QParams
from fuseguard.ir.builder import GraphBuilder

# Over the whole of int16: FU103's bounded saturation is not what these examples are about.
INPUT = QParams.per_tensor(0.00031, 0, -32768, 32767, "int16")
OUTPUT = QParams.per_tensor(0.00127, 0, -32768, 32767, "int16")


def conv(b: GraphBuilder, data: str, name: str, qparams: QParams) -> str:
    weight = b.quantized_constant(f"{name}_weight", (4, 4, 3, 3), 0.0031)
    bias = b.quantized_constant(f"{name}_bias", (4,), qparams.scale * 0.0031, "int32")
    return b.call("aten.conv2d.default", data, weight, bias, (1, 1), (1, 1), shape=(1, 4, 8, 8))
