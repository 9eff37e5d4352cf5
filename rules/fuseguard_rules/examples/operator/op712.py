"""Examples of OP712, view-to-rank-zero."""

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
_DIMS = (0, 1, 2, 3)
_QPARAMS, _SUM = int8(0.0237, -3), int8(0.31, -9)


def _summed() -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", _SHAPE, _QPARAMS)
    return b.output(b.requantize(b.call("aten.sum.dim_IntList", x, _DIMS, False, shape=()), _SUM))


def _subtracted(keepdim: bool) -> Callable[[], Graph]:
    """An input minus the sum of it."""

    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", _SHAPE, _QPARAMS)
        shape = (1, 1, 1, 1) if keepdim else ()
        total = b.requantize(b.call("aten.sum.dim_IntList", x, _DIMS, keepdim, shape=shape), _SUM)
        return b.output(b.requantize(b.call("aten.sub.Tensor", x, total, shape=_SHAPE), int8(0.41, 3)))

    return build


def _element() -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", _SHAPE, _QPARAMS)
    flat = b.requantize(b.call("aten.view.default", x, (144,), shape=(144,)), _QPARAMS)
    return b.output(b.requantize(b.call("aten.select.int", flat, 0, 0, shape=()), _QPARAMS))


def _any() -> Graph:
    b = GraphBuilder()
    x, y = (b.quantized_input(name, _SHAPE, _QPARAMS) for name in ("x", "y"))
    greater = b.call("aten.gt.Tensor", x, y, dtype="bool")
    return b.output(b.call("aten.any.default", greater, shape=(), dtype="bool", annotated=False))


def _of_two(target: str, *args: Arg, shape: tuple[int, ...] = _SHAPE) -> Callable[[], Graph]:
    """An op that reduces two tensors to one number, which Arm's quantizer does not know."""

    def build() -> Graph:
        b = GraphBuilder()
        x, y = (b.quantized_input(name, shape, _QPARAMS) for name in ("x", "y"))
        return b.output(b.call(target, x, y, *args, shape=(), annotated=False))

    return build


def _errors() -> Graph:
    b = GraphBuilder()
    x, y = (b.quantized_input(name, _SHAPE, _QPARAMS) for name in ("x", "y"))
    return b.output(b.call("aten.mse_loss.default", x, y, 0, annotated=False))


def _one_hot() -> Graph:
    """Its classes are asserted to be in range, by any."""
    b = GraphBuilder()
    x = b.input("x", (3,), "int64")
    return b.output(b.call("aten.one_hot.default", x, 4, shape=(3, 4), dtype="int64", annotated=False))


def _expanded() -> Graph:
    """Dimensions come back before anything else happens."""
    b = GraphBuilder()
    x = b.quantized_input("x", _SHAPE, _QPARAMS)
    largest = b.requantize(b.call("aten.amax.default", x, _DIMS, False, shape=()), _QPARAMS)
    return b.output(b.requantize(b.call("aten.expand.default", largest, (3,), shape=(3,)), _QPARAMS))


BAD = (
    Example("sum of all", _summed, _program("total"), only_on=">=1.4"),
    Example("one element", _element, only_on=">=1.4"),
    Example("any of what is compared", _any, only_on=">=1.4"),
    Example("dot product", _of_two("aten.dot.default", shape=(8,)), _program("dot_of_all"),
            only_on=">=1.4"),
    Example("mean squared error", _of_two("aten.mse_loss.default"), _program("squared_error"), only_on=">=1.4"),
    Example("one_hot", _one_hot, companions=("OP714",), only_on=">=1.4"),
    Example("sum that is subtracted", _subtracted(keepdim=False), _program("without_mean"), only_on=">=1.5"),
)  # fmt: skip

GOOD = (
    Example("squared errors", _errors, _program("squared_errors")),
    Example("sum that is subtracted, with its dimensions", _subtracted(keepdim=True)),
    Example("amax that is expanded", _expanded),
)
