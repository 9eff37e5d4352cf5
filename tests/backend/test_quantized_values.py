"""The values that stand between a quantize op and its dequantize ops."""

from __future__ import annotations

from fuseguard.backend.quantized_values import boundaries
from fuseguard.ir import View
from fuseguard.ir.builder import GraphBuilder, int8

SHAPE = (1, 4, 8, 8)


def test_a_value_with_many_readers_is_one_boundary() -> None:
    """One Q read by many DQs must be visited once, or the rules would be quadratic in its readers."""
    b = GraphBuilder()
    q = b.quantize(b.input("x", SHAPE), int8(0.1))
    graph = b.output(*(b.call("aten.relu.default", b.dequantize(q, int8(0.1))) for _ in range(50)))
    (only,) = boundaries(View(graph))
    assert len(only.consumers) == 50
