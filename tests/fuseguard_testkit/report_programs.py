"""Programs whose reports are looked at: with drawings, of several graphs, and large ones."""

from __future__ import annotations

from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.graph import Graph, SourceLine

WRONG = int8(0.05, -17)  # a relu ends at its zero point, and the codes go on below
RIGHT = int8(0.05, -128)


def islands(number: int, wrong: int, prefix: str = "") -> Graph:
    """A chain of ``number`` islands of ten nodes each, conv2d -> relu, the first ``wrong`` of which are FU101's.

    ``prefix`` begins the name of every module and function.
    """
    b = GraphBuilder()
    value = b.quantized_input("x", (1, 4, 8, 8), int8(0.05, 3))
    for index in range(number):
        weight = b.quantized_constant("weight", (4, 4, 3, 3))
        bias = b.quantized_constant("bias", (4,), 0.0005, "int32")
        line = SourceLine("net.py", 10 + index % 40, f"{prefix}forward", "return torch.relu(self.conv(x))")
        module = f"{prefix}features.{index // 100}.conv{index}"
        conv = b.call(
            "aten.conv2d.default", value, weight, bias, (1, 1), (1, 1), shape=(1, 4, 8, 8), source=line, module=module
        )
        relu = b.call("aten.relu.default", conv, source=line, module=module)
        moved = b.requantize(relu, WRONG if index < wrong else RIGHT)
        value = b.call("aten.add.Tensor", moved, moved, source=line, module=module)
        value = b.requantize(value, RIGHT)
    return b.output(value)
