"""Examples of OP706, saturation-skipped."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8, int16

if TYPE_CHECKING:
    import torch


def _graph(first: str, second: str, scales: tuple[float, ...], *, moved: bool = False) -> Callable[[], Graph]:
    """``second(Q(first(x, y)), z)``; ``scales`` are those of x, y, the Q between, z and the result. ``moved``: with a
    permute between the two.
    """

    def build() -> Graph:
        b = GraphBuilder()
        shape = (1, 4, 8, 8)
        x, y, z = (b.quantized_input("xyz"[n], shape, int8(scale)) for n, scale in enumerate((*scales[:2], scales[3])))
        value = b.requantize(b.call(f"aten.{first}", x, y), int8(scales[2]))
        if moved:
            value = b.requantize(b.call("aten.permute.default", value, (0, 1, 3, 2)), int8(scales[2]))
        return b.output(b.requantize(b.call(f"aten.{second}", value, z), int8(scales[4])))

    return build


def _wide_mean(of: str) -> Graph:
    """A mean over 6 in A16W8, whose observers stop at a scale of 2**-12: of a cosine, or of values up to 8."""
    b = GraphBuilder()
    floor = int16(2.0**-12)
    x = b.quantized_input("x", (1, 4, 8, 6), floor)
    value = x if of == "input" else b.requantize(b.call(f"aten.{of}.default", x), floor)
    total = b.requantize(b.call("aten.sum.dim_IntList", value, (3,), True, shape=(1, 4, 8, 1)), floor)
    reciprocal = b.dequantize(b.constant("reciprocal", (1,), "int16"), floor)
    return b.output(b.requantize(b.call("aten.mul.Tensor", total, reciprocal), floor))


def _sign() -> Graph:
    """The sign of a maximum as Arm's quantizer decomposes it: compared with zero on its own grid."""
    b = GraphBuilder()
    qparams = int8(0.2813, 14)
    x, y = (b.quantized_input(name, (1, 4, 8, 8), qparams) for name in "xy")
    codes = b.quantize(b.call("aten.maximum.default", x, y), qparams)
    zero = b.requantize(b.call("aten.full.default", (1,), 0.0, shape=(1,)), qparams)
    return b.output(b.call("aten.gt.Tensor", b.dequantize(codes, qparams), zero, dtype="bool"))


def _program() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    from fuseguard_rules.examples.operator.arithmetic_modules import reused_operand

    return reused_operand()


BAD = (
    Example(
        "add of an add that saturates",
        _graph("add.Tensor", "add.Tensor", (0.05, 0.05, 0.01, 0.05, 0.06)),
        only_on=">=1.3",
    ),
    Example(
        "mul of a mul that saturates",
        _graph("mul.Tensor", "mul.Tensor", (0.05, 0.05, 0.0025, 0.05, 0.02)),
        only_on=">=1.3",
    ),
    Example(
        "minimum of a maximum with wider codes",
        _graph("maximum.default", "minimum.default", (0.05, 0.05, 0.07, 0.05, 0.01)),
        only_on=">=1.3",
        companions=("OP707",),
    ),
    Example(
        "add that reads the largest operand of a sub again",
        _graph("sub.Tensor", "add.Tensor", (0.05, 0.01, 0.04, 0.05, 0.09)),
        _program,
        only_on=">=1.3",
    ),
    Example(
        "mean of values that add up to more than the codes hold",
        lambda: _wide_mean("input"),
        only_on=">=1.3",
        extensions=("int16",),
    ),
)

GOOD = (
    Example("add of an add with other scales", _graph("add.Tensor", "add.Tensor", (0.05, 0.05, 0.1, 0.05, 0.16))),
    Example(
        "add of an add, permuted between",
        _graph("add.Tensor", "add.Tensor", (0.05, 0.05, 0.01, 0.05, 0.06), moved=True),
    ),
    Example("maximum compared on the grid and in the range that it has", _sign),
)
