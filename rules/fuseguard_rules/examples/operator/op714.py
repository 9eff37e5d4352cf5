"""Examples of OP714, int64-leaves-delegate."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.graph import Arg
from fuseguard_rules.examples.programs import program_of

_program = partial(program_of, "operator.result_modules")

_SHAPE = (1, 4, 6, 6)
_QPARAMS = int8(0.0237, -3)


def _sigmoid(b: GraphBuilder, shape: tuple[int, ...] = _SHAPE) -> str:
    value = b.call("aten.sigmoid.default", b.quantized_input("x", shape, _QPARAMS))
    return b.requantize(value, int8(1 / 256, -128))


def _beside(target: str, *args: Arg, shape: tuple[int, ...], first: bool = False) -> Callable[[], Graph]:
    """A sigmoid, and a constant beside it that is a result too; ``first``: before it."""

    def build() -> Graph:
        b = GraphBuilder()
        value = _sigmoid(b)
        constant = b.call(target, *args, shape=shape, dtype="int64", annotated=False)
        return b.output(constant, value) if first else b.output(value, constant)

    return build


def _argmax() -> Graph:
    """As Arm's quantizer leaves it: cast to int32."""
    b = GraphBuilder()
    found = b.call("aten.argmax.default", _sigmoid(b), 1, shape=(1, 6, 6), dtype="int64", annotated=False)
    return b.output(b.call("dim_order_ops._to_dim_order_copy.default", found, dtype="int32", kwargs={"dtype": "int32"}))


def _compared() -> Graph:
    """Which of the classes 0 to 4 an input of the program is, beside a sigmoid."""
    b = GraphBuilder()
    value = _sigmoid(b)
    classes = b.call("aten.arange.default", 5, shape=(5,), dtype="int64", annotated=False)
    given = b.input("y", (5,), "int64")
    equal = b.call("aten.eq.Tensor", given, classes, shape=(5,), dtype="bool", annotated=False)
    return b.output(value, equal)


def _gathered() -> Graph:
    """The first channel of a sigmoid, twice, by an index that the program makes."""
    b = GraphBuilder()
    value = _sigmoid(b)
    index = b.call("aten.zeros.default", (1, 2, 6, 6), shape=(1, 2, 6, 6), dtype="int64", annotated=False)
    gathered = b.call("aten.gather.default", value, 1, index, shape=(1, 2, 6, 6))
    return b.output(b.requantize(gathered, int8(1 / 256, -128)))


def _made_of(target: str, *args: Arg, shape: tuple[int, ...], of: tuple[int, ...] = _SHAPE) -> Callable[[], Graph]:
    """An op of which the edge dialect makes an arange; Arm's quantizer does not know it."""

    def build() -> Graph:
        b = GraphBuilder()
        return b.output(b.call(target, _sigmoid(b, of), *args, shape=shape, annotated=False))

    return build


def _resized_nearest() -> Graph:
    b = GraphBuilder()
    resized = b.call("aten.upsample_nearest2d.vec", _sigmoid(b), None, (2.0, 2.0), shape=(1, 4, 12, 12))
    return b.output(b.requantize(resized, int8(1 / 256, -128)))


BAD = (
    Example("int64 ones after a float result", _beside("aten.ones.default", (2,), shape=(2,)),
            _program("with_int64_ones")),
    Example("arange that is compared on the CPU", _compared),
    Example("gather by int64 zeros", _gathered, _program("gathered_by_zeros")),
    Example("diag_embed of a sigmoid", _made_of("aten.diag_embed.default", shape=(1, 4, 6, 6, 6)),
            _program("on_diagonals")),
    Example("bicubic resize of a sigmoid",
            _made_of("aten.upsample_bicubic2d.vec", None, False, (2.0, 2.0), shape=(1, 4, 12, 12)),
            _program("resized_bicubic")),
    Example("linear resize of a sequence",
            _made_of("aten.upsample_linear1d.vec", None, False, (2.0,), shape=(1, 4, 12), of=(1, 4, 6)),
            _program("resized_linear")),
    Example("argmax of a float", _argmax, _program("largest_channel"), only_on=">=1.4,<1.5"),
)  # fmt: skip

GOOD = (
    Example("nearest resize of a sigmoid", _resized_nearest, _program("resized_nearest")),
    Example("int64 ones before a float result", _beside("aten.ones.default", (2,), shape=(2,), first=True)),
    Example("int64 full that no int32 holds", _beside("aten.full.default", (2,), 2**40, shape=(2,))),
)
