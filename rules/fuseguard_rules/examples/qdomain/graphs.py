"""Programs that the QD rules must find fault with, and programs they must pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fuseguard.engine import Example
from fuseguard.ir import Graph, QParams
from fuseguard.ir.builder import GraphBuilder, full_int16, int8, int16
from fuseguard.ir.graph import Arg

if TYPE_CHECKING:
    import torch

SHAPE = (1, 4, 8, 8)
INPUT = int8(0.0487, 3)
#: What a sigmoid is quantized to, and the same twice as wide or with another zero point.
UNIT = int8(0.00397, -119)
WIDE = int8(0.01031, -119)
SHIFTED = int8(0.00397, -87)

#: name -> (ATen target, arguments after the data, output shape)
MOVERS: dict[str, tuple[str, tuple[Arg, ...], tuple[int, ...]]] = {
    "permute": ("aten.permute.default", ((0, 2, 3, 1),), (1, 8, 8, 4)),
    "slice": ("aten.slice.Tensor", (1, 0, 2), (1, 2, 8, 8)),
    "pad": ("aten.constant_pad_nd.default", ((1, 1, 1, 1), 0.0), (1, 4, 10, 10)),
    "max_pool2d": ("aten.max_pool2d.default", ((2, 2), (2, 2)), (1, 4, 4, 4)),
    "avg_pool2d": ("aten.avg_pool2d.default", ((2, 2), (2, 2)), (1, 4, 4, 4)),
    "relu": ("aten.relu.default", (), SHAPE),
    "neg": ("aten.neg.default", (), SHAPE),
    "flip": ("aten.flip.default", ((3,),), SHAPE),
}


def hidden(b: GraphBuilder, name: str = "x", qparams: QParams = UNIT) -> str:
    """A value in [0, 1], quantized."""
    return b.quantized_input(name, SHAPE, qparams)


def mover(name: str, before: QParams, after: QParams) -> Callable[[], Graph]:
    """One op between two qparams."""

    def build() -> Graph:
        b = GraphBuilder()
        target, arguments, shape = MOVERS[name]
        value = b.call(target, hidden(b, qparams=before), *arguments, shape=shape)
        return b.output(b.requantize(value, after))

    return build


def split(after: QParams) -> Callable[[], Graph]:
    """Both halves of a split, the second requantized to ``after``."""

    def build() -> Graph:
        b = GraphBuilder()
        halves = b.call("aten.split.Tensor", hidden(b), 2, 1, shape=SHAPE)
        first, second = (b.call("operator.getitem", halves, part, shape=(1, 2, 8, 8)) for part in (0, 1))
        return b.output(b.requantize(first, UNIT), b.requantize(second, after))

    return build


def joined(target: str, first: QParams, second: QParams, after: QParams) -> Callable[[], Graph]:
    """``cat`` or ``stack`` of two values along dimension 1."""

    def build() -> Graph:
        b = GraphBuilder()
        values = (hidden(b, "x", first), hidden(b, "y", second))
        shape = (1, 2, 4, 8, 8) if "stack" in target else (1, 8, 8, 8)
        return b.output(b.requantize(b.call(target, values, 1, shape=shape), after))

    return build


def chosen(first: QParams, second: QParams, after: QParams) -> Callable[[], Graph]:
    """``where`` over two values."""

    def build() -> Graph:
        b = GraphBuilder()
        condition = b.input("condition", SHAPE, "bool")
        value = b.call("aten.where.self", condition, hidden(b, "x", first), hidden(b, "y", second), shape=SHAPE)
        return b.output(b.requantize(value, after))

    return build


def program(name: str) -> Callable[[], tuple[torch.nn.Module, tuple[torch.Tensor, ...]]]:
    """The float module of that name."""

    def build() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
        from fuseguard_rules.examples.qdomain import modules as example_modules

        return example_modules.build(name)

    return build


def _negated() -> Graph:
    """``cat((-x, y))``: the negated value is observed on its own, its negative in the cat's domain."""
    b = GraphBuilder()
    negated = b.call("aten.neg.default", hidden(b))
    wide = int8(0.0397, 11)
    both = b.call("aten.cat.default", (b.requantize(negated, wide), hidden(b, "y", wide)), 1, shape=(1, 8, 8, 8))
    return b.output(b.requantize(both, wide))


def _moved() -> Graph:
    b = GraphBuilder()
    moved = b.call("aten.movedim.int", hidden(b), 2, 3, shape=SHAPE)
    wide = int8(0.0397, 11)
    both = b.call("aten.cat.default", (b.requantize(moved, wide), hidden(b, "y", wide)), 1, shape=(1, 8, 8, 8))
    return b.output(b.requantize(both, wide))


def _retyped() -> Graph:
    b = GraphBuilder()
    target, arguments, shape = MOVERS["permute"]
    value = b.requantize(b.call(target, hidden(b, qparams=int16(0.0000155)), *arguments, shape=shape), UNIT)
    return b.output(b.requantize(b.call("aten.tanh.default", value, shape=shape), UNIT))


DOMAIN_CHANGES = (
    Example("neg into a cat with a wider branch", _negated, program("neg into cat")),
    Example("movedim into a cat with a wider branch", _moved, program("movedim into cat")),
    *(Example(f"{name} to a wider scale, hand-made", mover(name, UNIT, WIDE)) for name in MOVERS),
    Example("avg_pool2d to another zero point, hand-made", mover("avg_pool2d", UNIT, SHIFTED)),
    Example("permute to another zero point, hand-made", mover("permute", UNIT, SHIFTED)),
    Example("stack to a wider scale, hand-made", joined("aten.stack.default", UNIT, UNIT, WIDE)),
    Example("cat to a wider scale, hand-made", joined("aten.cat.default", UNIT, UNIT, WIDE)),
    Example("one half of a split to a wider scale, hand-made", split(WIDE)),
    Example("where to a wider scale, hand-made", chosen(UNIT, UNIT, WIDE)),
)

DTYPE_CHANGES = (
    Example("max_pool2d to int16, hand-made", mover("max_pool2d", UNIT, int16(0.0000155))),
    Example("permute from int16, read by a lookup table, hand-made", _retyped),
)

DOMAIN_KEPT = (
    *(Example(f"{name} within one domain", mover(name, UNIT, UNIT)) for name in MOVERS),
    Example("neg to another zero point", mover("neg", UNIT, SHIFTED)),
    Example(
        "permute between scales that differ by less than half a step", mover("permute", UNIT, int8(0.003971, -119))
    ),
    Example("stack within one domain", joined("aten.stack.default", UNIT, UNIT, UNIT)),
    Example("split within one domain", split(UNIT)),
    Example("rotary embedding: cat((-x2, x1))", joined("aten.cat.default", UNIT, UNIT, UNIT), program("rotary")),
    Example("pools, mean and bilinear into a wide cat", joined("aten.cat.default", WIDE, WIDE, WIDE), program("pools")),
)


DISAGREEING = (
    Example("cat of two scales, hand-made", joined("aten.cat.default", UNIT, WIDE, UNIT)),
    Example("cat of two scales that ends in the second, hand-made", joined("aten.cat.default", UNIT, WIDE, WIDE)),
    Example("cat of two zero points, hand-made", joined("aten.cat.default", UNIT, SHIFTED, UNIT)),
    Example("concatenate of two scales, hand-made", joined("aten.concatenate.default", UNIT, WIDE, UNIT)),
    Example("stack of two scales, hand-made", joined("aten.stack.default", UNIT, WIDE, UNIT)),
    Example("where over two scales, hand-made", chosen(UNIT, WIDE, UNIT)),
    Example(
        "cat whose scales differ by less than half a step",
        joined("aten.cat.default", UNIT, int8(0.003971, -119), UNIT),
    ),
)

AGREEING = (
    Example("cat of one domain", joined("aten.cat.default", UNIT, UNIT, UNIT)),
    Example("stack of one domain", joined("aten.stack.default", WIDE, WIDE, WIDE)),
    Example("where over one domain", chosen(UNIT, UNIT, UNIT)),
    Example(
        "int8 branches of different width into a cat", joined("aten.cat.default", WIDE, WIDE, WIDE), program("widths")
    ),
)


def twice(target: str, *arguments: Arg, first: QParams, second: QParams, deep: bool = False) -> Callable[[], Graph]:
    """The same op twice on one tensor; ``deep`` puts a second op, of one qparams, before the two."""

    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", SHAPE, INPUT)
        outputs = []
        for qparams in (first, second):
            value = b.requantize(b.call("aten.tanh.default", x), int8(0.00787, 3)) if deep else x
            resolved = tuple(value if argument == "$" else argument for argument in arguments)
            outputs.append(b.requantize(b.call(target, value, *resolved), qparams))
        return b.output(*outputs)

    return build


def _towers(second: QParams) -> Callable[[], Graph]:
    """One convolution applied twice, each time with its own relu."""

    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", SHAPE, INPUT)
        weight = b.quantized_constant("weight", (4, 4, 1, 1), 0.01031)
        outputs = []
        for qparams in (int8(0.0197, -128), second):
            value = b.call("aten.conv2d.default", x, weight, shape=SHAPE)
            outputs.append(b.requantize(b.call("aten.relu.default", value), qparams))
        return b.output(*outputs)

    return build


def _around_cpu() -> Graph:
    """A sigmoid whose values go through an op on the CPU, and the same sigmoid beside that, in the next delegate."""
    b = GraphBuilder()
    x = b.quantize(b.input("x", SHAPE), INPUT)
    first = b.requantize(b.call("aten.sigmoid.default", b.dequantize(x, INPUT)), WIDE)
    whole = b.requantize(b.call("aten.trunc.default", first, annotated=False), WIDE)
    second = b.requantize(b.call("aten.sigmoid.default", b.dequantize(x, INPUT)), UNIT)
    return b.output(b.requantize(b.call("aten.add.Tensor", whole, second), WIDE))


def _read_in_float() -> Graph:
    """A mul without a Q, which stays on the CPU in INT, and the same one with a Q."""
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, INPUT)
    return b.output(b.call("aten.mul.Tensor", x, x), b.requantize(b.call("aten.mul.Tensor", x, x), WIDE))


DUPLICATES = (
    Example(
        "sigmoid twice, once into a wide cat",
        twice("aten.sigmoid.default", first=WIDE, second=UNIT),
        program("twin gate"),
    ),
    Example(
        "mul twice, once into a wide cat", twice("aten.mul.Tensor", "$", first=INPUT, second=WIDE), program("twin mul")
    ),
    Example(
        "x * tanh(x) twice: merged because the tanh in front are",
        twice("aten.mul.Tensor", "$", first=int8(0.00787, 3), second=WIDE, deep=True),
    ),
    Example(
        "neg twice with different zero points",
        twice("aten.neg.default", first=int8(0.0487, -3), second=int8(0.0487, 40)),
    ),
    Example("one convolution and relu twice with different qparams", _towers(int8(0.0531, -128))),
    Example("sigmoid twice, with an op on the CPU between", _around_cpu),
    Example("mul twice, once read in float", _read_in_float, companions=("BO601", "PL401")),
)

NO_DUPLICATES = (
    Example(
        "sums of different dtypes",
        twice("aten.sum.dim_IntList", (1,), True, first=full_int16(0.0531), second=int8(0.0487, 3)),
        extensions=("int16",),
    ),
    Example("sigmoid twice with the same qparams", twice("aten.sigmoid.default", first=UNIT, second=UNIT)),
    Example(
        "sigmoid twice, whose qparams differ in a code that no sigmoid reaches",
        twice("aten.sigmoid.default", first=int8(0.005, -100), second=int8(0.005, -100, -127)),
    ),
    Example(
        "one convolution and relu twice with the same qparams", _towers(int8(0.0197, -128)), program("tied towers")
    ),
)


def quantized_each(target: str, *qparams: QParams, kind: str = "call") -> Callable[[], Graph]:
    """One op whose result is quantized once per consumer."""

    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", SHAPE, INPUT)
        if kind == "conv":
            value = b.call(target, x, b.quantized_constant("weight", (4, 4, 1, 1), 0.01031), shape=SHAPE)
        elif kind == "binary":
            value = b.call(target, x, x)
        else:
            value = b.call(target, x, *((0, 2, 3, 1),) if "permute" in target else ())
        return b.output(*(b.requantize(value, item) for item in qparams))

    return build


SEVERAL_OUTPUTS = (
    Example(
        "convolution quantized per consumer",
        quantized_each("aten.conv2d.default", int8(0.0197, 3), int8(0.0531, 3), kind="conv"),
    ),
    Example(
        "convolution quantized for three consumers",
        quantized_each("aten.conv2d.default", int8(0.0197, 3), int8(0.0531, 3), int8(0.0397, 11), kind="conv"),
    ),
    Example(
        "add quantized per consumer", quantized_each("aten.add.Tensor", int8(0.0973, 3), int8(0.0531, 3), kind="binary")
    ),
    Example("sigmoid quantized per consumer", quantized_each("aten.sigmoid.default", UNIT, WIDE)),
    Example("sigmoid quantized per consumer, alike", quantized_each("aten.sigmoid.default", UNIT, UNIT)),
    Example("neg quantized per consumer", quantized_each("aten.neg.default", int8(0.0487, 3), int8(0.0973, 3))),
)

ONE_OUTPUT = (
    Example(
        "convolution quantized per consumer, alike",
        quantized_each("aten.conv2d.default", int8(0.0197, 3), int8(0.0197, 3), kind="conv"),
    ),
)


def beside(target: str, own: QParams, shared: QParams, *arguments: Arg) -> Callable[[], Graph]:
    """``cat`` of an op's result with a large value, in the large value's scale."""

    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", SHAPE, own)
        small = b.requantize(b.call(target, x, *(x if argument == "$" else argument for argument in arguments)), shared)
        large = b.quantized_input("y", SHAPE, shared)
        return b.output(b.requantize(b.call("aten.cat.default", (small, large), 1, shape=(1, 8, 8, 8)), shared))

    return build


POISONED = (
    Example(
        "sigmoid beside coordinates", beside("aten.sigmoid.default", INPUT, int8(2.31, -77)), program("coordinates")
    ),
    Example("a sum beside a mask of -1e9", beside("aten.add.Tensor", INPUT, int8(3921568.6, 127), "$")),
)

HEALTHY = (
    Example("sigmoid beside values up to ten", beside("aten.sigmoid.default", INPUT, int8(0.0787, -3))),
    Example("a sum beside values of its own size", beside("aten.add.Tensor", INPUT, int8(0.0973, 3), "$")),
    Example("sigmoid alone", twice("aten.sigmoid.default", first=UNIT, second=UNIT)),
    Example("branches that differ in width by a factor of ten", AGREEING[-1].graph, program("widths")),
)
