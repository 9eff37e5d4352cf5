"""What the backend makes of a convolution or matrix product."""

from __future__ import annotations

import pytest

from fuseguard.backend.anchor_forms import anchor_form
from fuseguard.ir import View
from fuseguard.ir.builder import GraphBuilder
from fuseguard_rules.examples.fusion.islands import RELU, SIGNED, island


@pytest.mark.parametrize(
    ("anchor", "form"),
    [
        ("conv2d", "direct"), ("depthwise", "direct"), ("grouped", "grouped"), ("conv1d", "conv1d"),
        ("conv3d", "direct"), ("transposed", "direct"), ("linear", "linear"),
    ],
)  # fmt: skip
def test_the_form_of_an_anchor(anchor: str, form: str) -> None:
    view = View(island(anchor, RELU, SIGNED))
    assert anchor_form(view, view.islands[0].anchor) == form


def test_a_depthwise_conv3d_is_decomposed_like_a_grouped_one() -> None:
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 2, 4, 6, 6), SIGNED)
    w = b.quantized_constant("w", (2, 1, 3, 3, 3))
    conv = b.call("aten.conv3d.default", x, w, None, (1, 1, 1), (1, 1, 1), (1, 1, 1), 2)
    view = View(b.output(b.requantize(conv, SIGNED)))
    assert anchor_form(view, view.islands[0].anchor) == "grouped"
