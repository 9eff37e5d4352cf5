"""Examples of DT514, no-integer-form."""

from __future__ import annotations

import math
from collections.abc import Callable

from fuseguard.engine import Example
from fuseguard.ir import Graph, QParams
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.graph import Arg

_SHAPE = (1, 4, 6, 6)
_POOL = "aten.adaptive_avg_pool2d.default"
#: Kernel size, dilation, padding and stride.
_WINDOWS = ((2, 2), (1, 1), (0, 0), (1, 1))
_QPARAMS = int8(0.0237, -3)
_RESULT = int8(0.0311, 5)
#: Values above 0 alone, and codes that are not 0.
_ABOVE_ZERO = int8(0.0237, 0, 1, 127)


def _of_one(
    target: str, *args: Arg, annotated: bool = True, shape: tuple[int, ...] = _SHAPE, out: QParams = _RESULT
) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", _SHAPE, _QPARAMS)
        value = b.call(target, x, *args, shape=shape, annotated=annotated)
        return b.output(b.requantize(value, out))

    return build


def _compared(target: str, *args: float) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", _SHAPE, _QPARAMS)
        return b.output(b.call(target, x, *args, dtype="bool"))

    return build


def _of_two(target: str, other: QParams = _ABOVE_ZERO, **kwargs: str | int) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x, y = b.quantized_input("x", _SHAPE, _QPARAMS), b.quantized_input("y", _SHAPE, other)
        return b.output(b.requantize(b.call(target, x, y, kwargs=kwargs), _RESULT))

    return build


def _attention() -> Graph:
    b = GraphBuilder()
    x, y = (b.quantized_input(name, (1, 2, 4, 8), _QPARAMS) for name in "xy")
    made = b.call("aten.scaled_dot_product_attention.default", x, y, y, shape=(1, 2, 4, 8))
    return b.output(b.requantize(made, _QPARAMS))


def _joined(
    target: str, other: QParams, *args: Arg, shape: tuple[int, ...], listed: bool = True
) -> Callable[[], Graph]:
    """Two tensors in one that is quantized like the first of them."""

    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", _SHAPE, _QPARAMS)
        y = b.quantized_input("y", _SHAPE if listed else (1, 2, 6, 6), other)
        operands: tuple[Arg, ...] = ((x, y),) if listed else (x, y)
        return b.output(b.requantize(b.call(target, *operands, *args, shape=shape), _QPARAMS))

    return build


def _indexed(target: str, *, number: bool = False) -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", _SHAPE, _QPARAMS)
    places = b.constant("places", (2,), "int64", (1, 3))
    value: Arg = 0.5 if number else b.quantized_input("y", (1, 2, 6, 6), _QPARAMS)
    return b.output(b.requantize(b.call(target, x, 1, places, value, shape=_SHAPE), _RESULT))


def _kron() -> Graph:
    b = GraphBuilder()
    x, y = b.quantized_input("x", (4, 3), _QPARAMS), b.quantized_input("y", (2, 3), _QPARAMS)
    return b.output(b.requantize(b.call("aten.kron.default", x, y, shape=(8, 9)), _RESULT))


BAD = (
    Example("hstack of two qparams", _joined("aten.hstack.default", _RESULT, shape=(1, 8, 6, 6))),
    Example("slice_scatter of two qparams",
            _joined("aten.slice_scatter.default", _RESULT, 1, 0, 2, shape=_SHAPE, listed=False)),
    Example("adaptive pool to other qparams", _of_one(_POOL, (3, 3), shape=(1, 4, 3, 3))),
    Example("kron of codes", _kron),
    Example("index_fill of codes", lambda: _indexed("aten.index_fill.int_Scalar", number=True)),
    Example("index_add of codes", lambda: _indexed("aten.index_add.default"), companions=("OP721",)),
    Example("sign of codes", _of_one("aten.sign.default")),
    Example("codes greater than a number", _compared("aten.gt.Scalar", 0.5)),
    Example("logical_not of codes", _compared("aten.logical_not.default")),
    Example("remainder of two tensors of codes", _of_two("aten.remainder.Tensor")),
    Example("truncating division of codes", _of_two("aten.div.Tensor_mode", rounding_mode="trunc"), only_on=">=1.4"),
    Example("power of two tensors of codes", _of_two("aten.pow.Tensor_Tensor")),
    Example("product of codes", _of_one("aten.prod.dim_int", 1, True, shape=(1, 1, 6, 6)), only_on=">=1.5"),
    Example("mean of codes", _of_one("aten.mean.dim", (1,), True, shape=(1, 1, 6, 6), out=_QPARAMS), only_on=">=1.3"),
    Example("unfold of codes", _of_one("aten.unfold.default", 3, 2, 2, shape=(1, 4, 6, 3, 2), out=_QPARAMS)),
    Example("pool to one element", _of_one(_POOL, (1, 1), shape=(1, 4, 1, 1), out=_QPARAMS), only_on=">=1.3"),
    Example("softplus of codes", _of_one("aten.softplus.default")),
    Example("logsumexp of codes", _of_one("aten.logsumexp.default", (1,), shape=(1, 6, 6))),
    Example("softshrink of codes", _of_one("aten.softshrink.default")),
    Example("hardshrink of codes", _of_one("aten.hardshrink.default")),
    Example("glu of codes", _of_one("aten.glu.default", 1, shape=(1, 2, 6, 6))),
    Example("difference of neighbours", _of_one("aten.diff.default", shape=(1, 4, 6, 5))),
    Example("windows of codes as columns", _of_one("aten.im2col.default", *_WINDOWS, shape=(1, 16, 25), out=_QPARAMS)),
    Example("log_sigmoid of codes", _of_one("aten.log_sigmoid.default")),
    Example("logaddexp of codes", _of_two("aten.logaddexp.default")),
    Example("sum of codes that may be NaN", _of_one("aten.nansum.default", (1,), True, shape=(1, 1, 6, 6))),
    Example("largest absolute code", _of_one("aten.linalg_vector_norm.default", math.inf, (1,), shape=(1, 6, 6))),
    Example("norm of codes", _of_one("aten.linalg_vector_norm.default", 2, (1,), shape=(1, 6, 6))),
    Example("loss of codes", _of_two("aten.mse_loss.default", _QPARAMS, reduction=0)),
    Example("attention of codes", _attention),
    Example("add with alpha", _of_two("aten.add.Tensor", _QPARAMS, alpha=2)),
    Example("sub with alpha", _of_two("aten.sub.Tensor", _QPARAMS, alpha=2)),
)

GOOD = (
    Example("hstack of one qparams", _joined("aten.hstack.default", _QPARAMS, shape=(1, 8, 6, 6))),
    Example("adaptive pool that keeps its qparams", _of_one(_POOL, (3, 3), shape=(1, 4, 3, 3), out=_QPARAMS)),
    Example("sign that is not annotated", _of_one("aten.sign.default", annotated=False)),
    Example("maximum of two tensors of codes", _of_two("aten.maximum.default", _QPARAMS)),
    Example("std of codes", _of_one("aten.std.correction", (1,), shape=(1, 6, 6))),
    Example("softplus that is not annotated", _of_one("aten.softplus.default", annotated=False)),
    Example("power of codes and a number", _of_one("aten.pow.Tensor_Scalar", 2)),
)
