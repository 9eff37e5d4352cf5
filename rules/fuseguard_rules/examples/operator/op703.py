"""Examples of OP703, max-pool-stride-omitted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8

if TYPE_CHECKING:
    import torch


def _pool(*stride: tuple[int, ...], quantized: bool = True) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        shape, pooled = (1, 4, 8, 8), (1, 4, 4, 4)
        qparams = int8(0.0487, 3)
        x = b.quantized_input("x", shape, qparams) if quantized else b.input("x", shape)
        value = b.call("aten.max_pool2d.default", x, (2, 2), *stride, shape=pooled, annotated=quantized)
        return b.output(b.requantize(value, qparams) if quantized else value)

    return build


def _program(stride: int | None) -> Callable[[], tuple[torch.nn.Module, tuple[torch.Tensor, ...]]]:
    def build() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
        from fuseguard_rules.examples.operator.modules import max_pool

        return max_pool(stride)

    return build


BAD = (
    Example("max_pool2d without a stride", _pool(), _program(None), only_on="<1.5.1"),
    Example("max_pool2d with an empty stride", _pool(()), only_on="<1.5.1"),
    Example("max_pool2d without a stride, in float", _pool(quantized=False), only_on="<1.5.1"),
)

GOOD = (Example("max_pool2d with a stride", _pool((2, 2)), _program(2)),)
