"""Programs that the FU rules must find fault with, and programs they must pass.

Each is written once as a small graph (fast, torch-free, lowered by the tests with random weights) and, where
Arm's own quantizer makes it, once more as a float module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fuseguard.engine import Example
from fuseguard.ir import Graph, QParams
from fuseguard.ir.builder import GraphBuilder, int8

if TYPE_CHECKING:
    import torch

#: anchor -> (ATen target, data shape, weight shape, trailing arguments, output shape)
ANCHORS: dict[str, tuple[str, tuple[int, ...], tuple[int, ...], tuple[object, ...], tuple[int, ...]]] = {
    "conv2d": ("aten.conv2d.default", (1, 4, 8, 8), (4, 4, 3, 3), ((1, 1), (1, 1)), (1, 4, 8, 8)),
    "depthwise": ("aten.conv2d.default", (1, 4, 8, 8), (4, 1, 3, 3), ((1, 1), (1, 1), (1, 1), 4), (1, 4, 8, 8)),
    "grouped": ("aten.conv2d.default", (1, 4, 8, 8), (4, 2, 3, 3), ((1, 1), (1, 1), (1, 1), 2), (1, 4, 8, 8)),
    "conv1d": ("aten.conv1d.default", (1, 4, 16), (4, 4, 3), ((1,), (1,)), (1, 4, 16)),
    "conv3d": ("aten.conv3d.default", (1, 2, 4, 6, 6), (2, 2, 3, 3, 3), ((1, 1, 1), (1, 1, 1)), (1, 2, 4, 6, 6)),
    "transposed": ("aten.conv_transpose2d.input", (1, 4, 6, 6), (4, 4, 2, 2), ((2, 2),), (1, 4, 12, 12)),
    "linear": ("aten.linear.default", (4, 8), (8, 8), (), (4, 8)),
}  # fmt: skip

# Scales without a short ratio to input x weight: sums then do not end on rounding ties.
SIGNED = int8(0.0517, -17)
NONNEGATIVE = int8(0.0517, -128)


def island(
    anchor: str,
    activation: tuple[object, ...] | None,
    output: QParams,
    *,
    joined: bool = True,
    forked: bool = False,
    kept: str = "",
) -> Graph:
    """``[cat](activation(anchor(x)), y)`` with the output qparams on the activation.

    ``activation`` is the target followed by its bounds, None for a bare anchor. ``joined`` puts a cat after it;
    ``forked`` gives the anchor a second user (a hardtanh whose result is an output of its own). ``kept`` writes the
    result to a buffer and nowhere else: to all of it ("whole") or to the middle of it ("slice").
    """
    target, data, weight, rest, shape = ANCHORS[anchor]
    b = GraphBuilder()
    x = b.quantized_input("x", data, int8(0.0487, 3))
    y = b.quantized_input("y", shape, output) if joined else ""
    w = b.quantized_constant("weight", weight, 0.01031)
    bias = b.quantized_constant("bias", (shape[1],), 0.0487 * 0.01031, "int32")
    value = b.call(target, x, w, bias, *rest, shape=shape, module="anchor")  # type: ignore[arg-type]
    second = ""
    if forked:
        second = b.requantize(b.call("aten.hardtanh.default", value, 0.0, 6.0, module="second"), NONNEGATIVE)
    if activation is not None:
        value = b.call(str(activation[0]), value, *activation[1:], module="")  # type: ignore[arg-type]
    value = b.requantize(value, output)
    if joined:
        joint = (shape[0], shape[1] * 2, *shape[2:])
        value = b.requantize(b.call("aten.cat.default", (value, y), 1, shape=joint), output)
        shape = joint
    if kept:
        return _kept(b, value, shape, kept)
    return b.output(*([value, second] if second else [value]))


def _kept(b: GraphBuilder, value: str, shape: tuple[int, ...], kept: str) -> Graph:
    """Writes ``value`` to a buffer; the program's own output is twice an input of its own."""
    length = shape[1] * 3 if kept == "slice" else shape[1]
    place = b.constant("state", (shape[0], length, *shape[2:]), "float32")
    if kept == "slice":
        place = b.call("aten.slice.Tensor", place, 1, shape[1], 2 * shape[1], shape=shape, annotated=False)
    b.call("aten.copy_.default", place, value, annotated=False)
    other = b.quantized_input("other", shape, int8(0.0487, 3))
    return b.output(b.requantize(b.call("aten.add.Tensor", other, other), int8(2 * 0.0487, 3)))


def _graph(*args: object, **options: object) -> Callable[[], Graph]:
    return lambda: island(*args, **options)  # type: ignore[arg-type]


RELU = ("aten.relu.default",)
RELU6 = ("aten.hardtanh.default", 0.0, 6.0)
HARDTANH = ("aten.hardtanh.default", -1.0, 1.0)


def _program(
    anchor: str, activation: str, *, signed: bool, bounds: Sequence[float] = ()
) -> Callable[[], tuple[torch.nn.Module, tuple[torch.Tensor, ...]]]:
    """The float module of the same shape. A signed ``y`` widens the cat's range below zero."""

    def build() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
        from fuseguard_rules.examples.fusion.modules import activation_into_cat

        return activation_into_cat(anchor, activation, tuple(bounds), signed=signed)

    return build


OUT_OF_RANGE = (
    *(
        Example(
            f"{anchor} -> relu into a cat with a signed branch",
            _graph(anchor, RELU, SIGNED),
            _program(anchor, "relu", signed=True),
            companions=("FU102",),
        )
        for anchor in ANCHORS
    ),
    Example(
        "conv2d -> hardtanh(0, 6) whose range reaches beyond 6",
        _graph("conv2d", RELU6, NONNEGATIVE),
        _program("conv2d", "hardtanh", signed=False, bounds=(0.0, 6.0)),
    ),
    Example("conv2d -> clamp(0, 1), hand-made", _graph("conv2d", ("aten.clamp.default", 0.0, 1.0), SIGNED)),
    Example("conv2d -> relu6, hand-made", _graph("conv2d", ("aten.relu6.default",), SIGNED)),
    Example(
        "conv2d -> relu into a cat that only a buffer keeps",
        _graph("conv2d", RELU, SIGNED, kept="whole"),
        companions=("FU102",),
    ),
    Example(
        "linear -> relu into a slice of a buffer",
        _graph("linear", RELU, SIGNED, joined=False, kept="slice"),
        companions=("FU102",),
    ),
)

STRANDED = (
    *(
        Example(
            f"{anchor} -> hardtanh(0, 6) in a signed range beyond 6",
            _graph(anchor, RELU6, int8(0.07, -17)),
            _program(anchor, "hardtanh", signed=True, bounds=(0.0, 6.0)),
            companions=("FU101",),
        )
        for anchor in ("linear", "grouped", "conv1d")
    ),
    Example("linear -> hardtanh(-1, 1) without a Q of its own, hand-made", _graph("linear", HARDTANH, int8(2 / 255))),
    Example("conv2d -> hardtanh(-1, 1) without a Q of its own, hand-made", _graph("conv2d", HARDTANH, int8(2 / 255))),
    Example(
        "conv2d -> hardtanh(-1, 1) without a Q of its own that only a buffer keeps",
        _graph("conv2d", HARDTANH, int8(2 / 255), joined=False, kept="whole"),
    ),
    Example("conv2d with two activations and no Q, hand-made", _graph("conv2d", RELU, NONNEGATIVE, forked=True)),
)

NARROW = (
    Example("conv2d -> relu quantized to [-127, 127]", _graph("conv2d", RELU, int8(0.02, -127, -127), joined=False)),
    Example("conv2d quantized to [-127, 127]", _graph("conv2d", None, int8(0.01, 0, -127), joined=False)),
)

IN_RANGE = (
    *(
        Example(
            f"{anchor} -> relu alone",
            _graph(anchor, RELU, NONNEGATIVE, joined=False),
            _program(anchor, "relu", signed=False),
        )
        for anchor in ANCHORS
    ),
    Example("conv2d -> hardtanh(0, 6) in a range that ends at 6", _graph("conv2d", RELU6, int8(6 / 255, -128))),
    Example("conv2d into a cat with a signed branch, no activation", _graph("conv2d", None, SIGNED)),
    Example(
        "conv2d -> relu alone that only a buffer keeps", _graph("conv2d", RELU, NONNEGATIVE, joined=False, kept="whole")
    ),
)

FULL_RANGE = (
    Example("conv2d -> relu over the full int8 range", _graph("conv2d", RELU, NONNEGATIVE, joined=False)),
    Example("linear over the full int8 range", _graph("linear", None, int8(0.02, 5), joined=False)),
)
