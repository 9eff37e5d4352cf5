"""BO601's examples of splits of which one half passes an annotated op, and the other half is an output."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8

_SHAPE = (1, 4, 8, 8)
_QPARAMS, _FUSED = int8(0.0487, 3), int8(0.0203, -128)


def _through(*ops: str) -> Callable[[], Graph]:
    """``ops`` are what one half passes between its DQ and the Q it comes back to, in order.

    ``add`` has a float operand. ``conv`` and ``clamp``, or ``conv`` and ``relu``, share the Q. After ``both`` a second
    Q reads the value.
    """

    def build() -> Graph:
        b = GraphBuilder()
        parts = b.call("aten.split.Tensor", b.quantized_input("x", (1, 8, 8, 8), _QPARAMS), 4, 1)
        halves = [b.call("operator.getitem", parts, number, shape=_SHAPE) for number in range(2)]
        value, other = (b.requantize(half, _QPARAMS) for half in halves)
        outputs = [other]
        for op in ops:
            if op == "both":
                outputs.append(b.requantize(value, _QPARAMS))
            else:
                value = _apply(b, op, value)
        return b.output(b.requantize(value, _FUSED if "conv" in ops else _QPARAMS), *outputs)

    return build


def _apply(b: GraphBuilder, op: str, value: str) -> str:
    if op == "permute":
        return b.call("aten.permute.default", value, (0, 1, 3, 2))
    if op == "max_pool2d":
        return b.call("aten.max_pool2d.default", value, (2, 2), (2, 2), shape=(1, 4, 4, 4))
    if op == "conv":
        weight = b.quantized_constant("weight", (4, 4, 3, 3), 0.01031)
        return b.call("aten.conv2d.default", value, weight, None, (1, 1), (1, 1), shape=_SHAPE)
    if op == "clamp":
        return b.call("aten.clamp.default", value, 0.0, 6.0)
    if op == "add":
        return b.call("aten.add.Tensor", value, b.input("y", _SHAPE))
    if op == "amax":
        return b.call("aten.amax.default", value, (1,), True, shape=(1, 1, 8, 8))
    if op == "softmax":
        return b.call("aten.softmax.int", value, 1)
    return b.call(f"aten.{op}.default", value)


#: The INT profile refuses the op: no quantize op reads its result, an operand is float, or no INT list has it.
REFUSED_HALVES = (
    Example(
        "split: one half through a relu that no quantize op reads", _through("relu", "permute"), companions=("PL401",)
    ),
    Example(
        "split: one half through a relu that a quantize op and a permute read", _through("relu", "both", "permute")
    ),
    Example("split: one half through a pool that no quantize op reads", _through("max_pool2d", "permute")),
    Example("split: one half through a conv2d and its clamp", _through("conv", "clamp"), companions=("FU102",)),
    Example("split: one half through an add with a float operand", _through("add"), companions=("PL402",)),
    Example("split: one half through a softmax, which only float has", _through("softmax")),
    Example("split: one half through a leaky_relu", _through("leaky_relu"), only_on="<1.4"),
)

#: The INT profile takes the op.
TAKEN_HALVES = (
    Example("split: one half through a conv2d and the relu fused to it", _through("conv", "relu")),
    Example("split: one half through an amax that no quantize op reads", _through("amax", "permute")),
)
