"""Examples of OP713, delegate-input-lost."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard_rules.examples.programs import program_of

_program = partial(program_of, "operator.result_modules")

_SHAPE = (1, 4, 6, 6)
_QPARAMS, _SUM = int8(0.0237, -3), int8(0.0311, -40)


def _alone(target: str, *args: float) -> Callable[[], Graph]:
    """All that the program does is to fill something of the input's shape."""

    def build() -> Graph:
        b = GraphBuilder()
        x = b.input("x", _SHAPE)
        return b.output(b.call(target, x, *args, annotated=False))

    return build


def _beside(target: str, *args: float, read: bool = False, after_op: bool = False) -> Callable[[], Graph]:
    """A sigmoid plus what has the shape of another input; ``read``: or of its own."""

    def build() -> Graph:
        b = GraphBuilder()
        x = b.input("x", _SHAPE)
        y = x if read else b.input("y", _SHAPE)
        value = b.call("aten.sigmoid.default", b.requantize(x, _QPARAMS))
        value = b.requantize(value, int8(1 / 256, -128))
        if after_op:
            y = b.requantize(b.call("aten.neg.default", b.requantize(y, _QPARAMS)), int8(0.0237, 2))
        made = b.call(target, y, *args, annotated=after_op)
        made = b.requantize(made, int8(3 / 255, -128))
        return b.output(b.requantize(b.call("aten.add.Tensor", value, made), _SUM))

    return build


def _copied() -> Graph:
    b = GraphBuilder()
    x, y = b.input("x", _SHAPE), b.input("y", _SHAPE)
    source = b.requantize(b.call("aten.neg.default", b.requantize(x, _QPARAMS)), int8(0.0237, 2))
    return b.output(b.call("aten.copy.default", y, source, annotated=False))


def _overwritten() -> Graph:
    """A result is overwritten, so that the delegate loses the input that it was computed from."""
    b = GraphBuilder()
    x, y = b.quantized_input("x", _SHAPE, _QPARAMS), b.quantized_input("y", _SHAPE, _QPARAMS)
    own = b.requantize(b.call("aten.relu.default", x), _QPARAMS)
    copied = b.requantize(b.call("aten.copy.default", own, y), _QPARAMS)
    return b.output(b.requantize(b.call("aten.neg.default", copied), int8(0.0237, 2)))


def _in_shape_of_argmax(target: str, *args: int, keepdim: bool = False) -> Callable[[], Graph]:
    """The quantizer casts an argmax to int32. Where the cast stays on the CPU, it is an input of the delegate."""

    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantize(b.input("x", (4, 6, 6)), _QPARAMS)
        to_int32 = {"dtype": "int32"}
        largest = b.call(
            "aten.argmax.default",
            b.dequantize(x, _QPARAMS),
            0,
            keepdim,
            shape=(1, 6, 6) if keepdim else (6, 6),
            dtype="int64",
            annotated=False,
        )
        cast = b.call("dim_order_ops._to_dim_order_copy.default", largest, dtype="int32", kwargs=to_int32)
        made = b.call(target, cast, *args, dtype="int32", annotated=False, kwargs=to_int32)
        negative = b.requantize(b.call("aten.neg.default", b.dequantize(x, _QPARAMS)), int8(0.0237, 2))
        return b.output(negative, made) if keepdim else b.output(negative, made, largest)

    return build


BAD = (
    Example("zeros_like of the input alone", _alone("aten.zeros_like.default"), _program("zeros_like"),
            only_on=">=1.3"),
    Example("ones_like of a second input", _beside("aten.ones_like.default"), _program("ones_like_second"),
            only_on=">=1.3"),
    Example("full_like of what is computed", _beside("aten.full_like.default", 2.5, after_op=True),
            only_on=">=1.3"),
    Example("copy onto a second input", _copied, only_on=">=1.3"),
    Example("a result that is overwritten", _overwritten, only_on=">=1.3"),
    Example("ones_like of an argmax that is returned", _in_shape_of_argmax("aten.ones_like.default")),
    Example("full_like of an argmax that keeps its dimension",
            _in_shape_of_argmax("aten.full_like.default", 3, keepdim=True)),
)  # fmt: skip

GOOD = (Example("ones_like of an input that is read", _beside("aten.ones_like.default", read=True)),)
