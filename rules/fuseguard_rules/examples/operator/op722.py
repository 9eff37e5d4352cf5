"""Examples of OP722, edge-dialect-rejects-op."""

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


def _after_neg(target: str, *args: Arg, shape: tuple[int, ...] = _SHAPE) -> Callable[[], Graph]:
    """A quantized neg, whose result the op reads as a float."""

    def build() -> Graph:
        b = GraphBuilder()
        x = b.requantize(b.call("aten.neg.default", b.quantized_input("x", _SHAPE, _QPARAMS)), _QPARAMS)
        return b.output(b.call(target, x, *args, shape=shape, annotated=False))

    return build


def _between() -> Graph:
    """Codes before and after the op, as if it were annotated."""
    b = GraphBuilder()
    x = b.quantized_input("x", _SHAPE, _QPARAMS)
    powers = b.requantize(b.call("aten.exp2.default", x), int8(0.04, -120))
    return b.output(b.requantize(b.call("aten.neg.default", powers), int8(0.04, 120)))


def _pooled() -> Graph:
    """The largest values and where they are."""
    b = GraphBuilder()
    x = b.requantize(b.call("aten.neg.default", b.quantized_input("x", _SHAPE, _QPARAMS)), _QPARAMS)
    pooled = b.call("aten.adaptive_max_pool2d.default", x, (2, 2), shape=(1, 4, 2, 2), annotated=False)
    results = (
        b.call("operator.getitem", pooled, place, shape=(1, 4, 2, 2), dtype=dtype, annotated=False)
        for place, dtype in enumerate(("float32", "int64"))
    )
    return b.output(*results)


def _constant() -> Graph:
    """A constant of the program, which no input reaches."""
    b = GraphBuilder()
    x = b.requantize(b.call("aten.neg.default", b.quantized_input("x", _SHAPE, _QPARAMS)), _QPARAMS)
    indices = b.call("aten.tril_indices.default", 3, 3, shape=(2, 6), dtype="int64", annotated=False)
    return b.output(x, indices)


BAD = (
    Example("exp2 of codes", _between),
    Example("exp2 at the end", _after_neg("aten.exp2.default"), _program("powers_of_two")),
    Example("adaptive_max_pool2d", _pooled, _program("adaptively_pooled")),
    Example(
        "bicubic resize with antialiasing",
        _after_neg("aten._upsample_bicubic2d_aa.vec", (3, 3), False, None, shape=(1, 4, 3, 3)),
        _program("resized_without_aliases"),
    ),
    Example("tril_indices", _constant),
)

GOOD = (
    Example(
        "bilinear resize with antialiasing",
        _after_neg("aten._upsample_bilinear2d_aa.vec", (3, 3), False, None, shape=(1, 4, 3, 3)),
    ),
    Example("square, that is decomposed", _after_neg("aten.square.default")),
)
