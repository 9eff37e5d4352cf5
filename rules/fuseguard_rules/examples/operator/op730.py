"""Examples of OP730, leading-entry-read-in-place."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8

_QPARAMS, _RESULT = int8(0.02, -10), int8(0.01, -10)


def _entry(
    reader: str = "aten.abs.default",
    shape: tuple[int, ...] = (3, 2, 2, 4, 4),
    dim: int = 0,
    viewed: tuple[int, ...] = (),
    reduced: bool = False,
) -> Callable[[], Graph]:
    """An op of one entry of a negated value; ``viewed``: of a view of the entry."""

    def build() -> Graph:
        b = GraphBuilder()
        value = b.requantize(b.call("aten.neg.default", b.quantized_input("x", shape, _QPARAMS)), _QPARAMS)
        left = shape[:dim] + shape[dim + 1 :]
        value = b.requantize(b.call("aten.select.int", value, dim, 1, shape=left), _QPARAMS)
        if viewed:
            value = b.requantize(b.call("aten.view.default", value, viewed, shape=viewed), _QPARAMS)
        if reduced:
            value = b.call(reader, value, (-1,), True, shape=(*left[:-1], 1))
        else:
            value = b.call(reader, value)
        return b.output(b.requantize(value, _RESULT))

    return build


BAD = (
    Example("abs of one of three entries", _entry()),
    Example("sigmoid of one of three entries", _entry("aten.sigmoid.default")),
    Example("abs of an entry of a value of six dimensions", _entry(shape=(3, 2, 2, 2, 4, 4))),
)

GOOD = (
    Example("abs of an entry with a batch of one", _entry(shape=(3, 1, 2, 4, 4))),
    Example("abs of an entry of a value of four dimensions", _entry(shape=(3, 2, 4, 4))),
    Example("abs of an entry of the second dimension", _entry(shape=(2, 3, 2, 4, 4), dim=1)),
    Example("abs of a view of an entry", _entry(viewed=(4, 16))),
    Example("sum of an entry", _entry("aten.sum.dim_IntList", reduced=True)),
)
