"""Examples of OP719, like-constant-loses-dtype."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard_rules.examples.programs import program_of

_program = partial(program_of, "operator.result_modules")

_SHAPE = (1, 4, 6, 6)
_QPARAMS = int8(0.0237, -3)
_Use = Callable[[GraphBuilder, str, str], str]


def _built(use: _Use, dtype: str, value: float, of: str = "codes") -> Callable[[], Graph]:
    """``use`` gets codes, and a constant in the shape of what they mean, of a ``mask`` or of ``floats``."""

    def build() -> Graph:
        b = GraphBuilder()
        floats = b.input("x", _SHAPE)
        x = b.quantize(floats, _QPARAMS)
        like = floats if of == "floats" else b.dequantize(x, _QPARAMS)
        if of == "mask":
            negative = b.requantize(b.call("aten.neg.default", b.dequantize(x, _QPARAMS)), _QPARAMS)
            like = b.call("aten.gt.Tensor", like, negative, dtype="bool")
        kwargs = {"dtype": dtype}
        made = b.call("aten.full_like.default", like, value, dtype=dtype, annotated=of != "floats", kwargs=kwargs)
        return b.output(use(b, x, made))

    return build


def _chosen(b: GraphBuilder, x: str, mask: str) -> str:
    """Each reader has a DQ of its own, as Arm's quantizer gives it."""
    other = b.requantize(b.call("aten.neg.default", b.dequantize(x, _QPARAMS)), _QPARAMS)
    return b.requantize(b.call("aten.where.self", mask, b.dequantize(x, _QPARAMS), other), _QPARAMS)


def _returned(*, floats: bool = False) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        given = b.input("x", _SHAPE)
        x = b.requantize(given, _QPARAMS)
        like, kwargs = given if floats else x, {"dtype": "int32"}
        made = b.call("aten.zeros_like.default", like, dtype="int32", annotated=not floats, kwargs=kwargs)
        return b.output(b.requantize(b.call("aten.neg.default", x), int8(0.0237, 2)), made)

    return build


def _compared(b: GraphBuilder, x: str, made: str) -> str:
    return _chosen(b, x, b.call("aten.gt.Scalar", made, 2, dtype="bool"))


BAD = (
    Example("ones_like of dtype bool that chooses", _built(_chosen, "bool", 1), _program("chosen_by_ones")),
    Example("zeros_like of dtype int32 that is returned", _returned(), _program("int32_zeros")),
    Example("full_like of dtype int32 in the shape of a mask, compared", _built(_compared, "int32", 3, "mask"),
            _program("compared_in_shape_of_mask")),
    Example("full_like of dtype int32 whose number is not a code, compared", _built(_compared, "int32", 300)),
    Example("ones_like of a float, of dtype bool, that chooses", _built(_chosen, "bool", 1, "floats")),
    Example("zeros_like of a float, of dtype int32, that is returned", _returned(floats=True)),
)  # fmt: skip

GOOD = (Example("full_like of dtype int32 whose number is a code, compared", _built(_compared, "int32", 3)),)
