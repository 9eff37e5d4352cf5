"""Examples of OP717, put-values-not-expanded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8

if TYPE_CHECKING:
    import torch

_QPARAMS = int8(0.0487, 3)
_PUT = "aten.index_put.default"


def _put(data: tuple[int, ...], values: tuple[int, ...], *, whole: bool = False) -> Callable[[], Graph]:
    """Three rows of ``data``, or three columns (``whole``: the first dimension is taken whole), become ``values``."""

    def build() -> Graph:
        b = GraphBuilder()
        x, v = b.quantized_input("x", data, _QPARAMS), b.quantized_input("v", values, _QPARAMS)
        rows = b.constant("rows", (3,), "int64", (1, 3, 5))
        put = b.call(_PUT, x, (None, rows) if whole else (rows,), v, shape=data)
        return b.output(b.requantize(put, _QPARAMS))

    return build


def _program() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    from fuseguard_rules.examples.operator.shape_modules import channels_overwritten

    return channels_overwritten()


BAD = (
    Example("index_put of one value to several rows", _put((8, 6), (1,)), _program, only_on="<1.3"),
    Example("index_put beside a dimension that is taken whole", _put((2, 8, 6), (2, 3, 6), whole=True), only_on="<1.3"),
    Example("index_put beside a whole dimension of equal size", _put((3, 8, 6), (3, 6), whole=True), only_on="<1.3"),
)

GOOD = (Example("index_put of a value for each place", _put((8, 6), (3, 6))),)
