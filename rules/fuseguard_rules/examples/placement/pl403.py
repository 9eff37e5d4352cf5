"""Examples of PL403, anchor-half-quantized."""

from __future__ import annotations

from fuseguard.engine import Example
from fuseguard_rules.examples.placement.anchor_graphs import anchor_graph

BAD = (
    Example("conv2d with a quantized weight only", lambda: anchor_graph("conv2d", data=False)),
    Example("linear with a quantized weight only", lambda: anchor_graph("linear", data=False)),
    Example("conv2d with quantized data only", lambda: anchor_graph("conv2d", weight=False)),
)

GOOD = (Example("linear quantized throughout", lambda: anchor_graph("linear")),)
