"""Examples of OP720, rank-zero-gains-dimension."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard_rules.examples.programs import program_of

_program = partial(program_of, "operator.result_modules")

_QPARAMS, _PRODUCT = int8(0.0237, -3), int8(0.0311, 4)


def _joined(target: str) -> Callable[[], Graph]:
    """A number that is an input, joined with the sigmoid of another tensor."""

    def build() -> Graph:
        b = GraphBuilder()
        number, x = b.quantized_input("s", (), _QPARAMS), b.quantized_input("x", (1,), _QPARAMS)
        if target == "aten.stack.default":
            x = b.requantize(b.call("aten.view.default", x, (), shape=()), _QPARAMS)
            return b.output(b.requantize(b.call(target, (number, x), shape=(2,)), _QPARAMS))
        number = b.requantize(b.call("aten.unsqueeze.default", number, 0, shape=(1,)), _QPARAMS)
        return b.output(b.requantize(b.call(target, (number, x), shape=(2,)), _QPARAMS))

    return build


def _multiplied(use: str, *args: object, shape: tuple[int, ...]) -> Callable[[], Graph]:
    """A number times a matrix, after which an op goes by the dimensions of the product."""

    def build() -> Graph:
        b = GraphBuilder()
        number, x = b.quantized_input("s", (), _QPARAMS), b.quantized_input("x", (3, 4), _QPARAMS)
        for size in range(2):
            number = b.requantize(b.call("aten.unsqueeze.default", number, 0, shape=(1,) * (size + 1)), _QPARAMS)
        product = b.requantize(b.call("aten.mul.Tensor", x, number), _PRODUCT)
        return b.output(b.requantize(b.call(use, product, *args, shape=shape), _PRODUCT))  # type: ignore[arg-type]

    return build


def _spread() -> Graph:
    b = GraphBuilder()
    number = b.quantized_input("s", (), _QPARAMS)
    number = b.requantize(b.call("aten.unsqueeze.default", number, 0, shape=(1,)), _QPARAMS)
    return b.output(b.requantize(b.call("aten.expand.default", number, (3,), shape=(3,)), _QPARAMS))


def _added() -> Graph:
    b = GraphBuilder()
    number, x = b.quantized_input("s", (), _QPARAMS), b.quantized_input("x", (3, 4), _QPARAMS)
    return b.output(b.requantize(b.call("aten.add.Tensor", x, number), _PRODUCT))


BAD = (
    Example("number stacked with a mean", _joined("aten.stack.default"), _program("stacked_number")),
    Example("number joined with a tensor", _joined("aten.cat.default")),
    Example("number times a matrix, transposed", _multiplied("aten.permute.default", (1, 0), shape=(4, 3))),
    Example("number that is expanded", _spread),
)

GOOD = (
    Example("number added to a matrix", _added),
)  # fmt: skip
