"""Examples of PL401, missing-output-quantize."""

from __future__ import annotations

from fuseguard.engine import Example
from fuseguard_rules.examples.placement.anchor_graphs import anchor_graph
from fuseguard_rules.examples.placement.leaked_code_graphs import (
    PERMUTE,
    batched_product,
    indexed_beside_q,
    one_op,
    stranded,
    two_readers,
    unquantized_between,
)

BAD = (
    Example("add whose result leaves in float", one_op("aten.add.Tensor", inputs=2), companions=("BO601",)),
    Example(
        "permute whose result leaves in float", one_op("aten.permute.default", (0, 1, 3, 2)), companions=("BO601",)
    ),
    Example("conv2d whose result leaves in float", lambda: anchor_graph("conv2d", output=False), companions=("BO601",)),
    Example("linear whose result leaves in float", lambda: anchor_graph("linear", output=False), companions=("BO601",)),
    Example("sigmoid straight after permute", unquantized_between(PERMUTE, "aten.sigmoid.default")),
    Example("abs straight after permute", unquantized_between(PERMUTE, "aten.abs.default")),
    Example("conv2d straight after permute", unquantized_between(PERMUTE, "aten.conv2d.default")),
    Example("relu straight after permute", unquantized_between(PERMUTE, "aten.relu.default")),
    Example("add straight after sigmoid", unquantized_between("aten.sigmoid.default", "aten.add.Tensor")),
    Example("index_select straight after permute", unquantized_between(PERMUTE, "aten.index_select.default")),
    Example("index_select straight after permute, which is quantized as well", indexed_beside_q),
    Example("maximum straight after relu, and of codes from the accelerator", stranded),
    Example("linear and stack straight after permute", two_readers),
    Example("permute straight after add", unquantized_between("aten.add.Tensor", PERMUTE)),
    Example("sigmoid straight after abs", unquantized_between("aten.abs.default", "aten.sigmoid.default")),
    Example("permute straight after abs", unquantized_between("aten.abs.default", PERMUTE)),
    Example("view straight after bmm", batched_product()),
    Example("view straight after bmm in int16", batched_product(wide=True), extensions=("int16",)),
    Example("view straight after bmm, before tanh", batched_product("aten.tanh.default")),
)

GOOD = (
    Example("comparison, whose result is a bool", one_op("aten.gt.Tensor", inputs=2, dtype="bool")),
    Example("permute after permute", unquantized_between(PERMUTE, PERMUTE)),
    Example("add with a quantized result", one_op("aten.add.Tensor", inputs=2, quantized=True)),
)
