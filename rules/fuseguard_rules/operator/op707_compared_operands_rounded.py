"""OP707: maximum, minimum or a comparison rounds the operand with the larger scale before it looks at it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from fuseguard.engine import Effect, EffectRow, EffectsTable, Example, Finding, Rule
from fuseguard.ir import Graph, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.view import smallest_scales
from fuseguard.target import Target

_SHAPE = (1, 4, 16, 16)
#: An operand whose scale is this near a multiple of the other lands on the other's grid all the same.
_MULTIPLE = 1e-6


def _pair(target: str, y_scale: float, *, compared: bool = False) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x, y = b.quantized_input("x", _SHAPE, int8(0.0487, 3)), b.quantized_input("y", _SHAPE, int8(y_scale, -5))
        value = b.call(target, x, y, shape=_SHAPE, dtype="bool" if compared else "float32")
        return b.output(value if compared else b.requantize(value, int8(0.0543, 2)))

    return build


class OperandsRounded(Rule):
    code = "OP707"
    name = "compared-operands-rounded"
    summary = "maximum, minimum or a comparison reads operands of different scales, and rounds one of them."
    why = (
        "InsertRescaleInt32Pass brings both operands of maximum, minimum and the comparisons to the smaller of their "
        "scales, as integers without bits to spare. The operand with the larger scale is rounded to the grid of the "
        "other, by up to half of its step, and rounded again behind the op. add and sub keep 20 bits more."
    )
    remedy = (
        "Usually nothing: the difference is within a rounding. Give both operands one scale (SharedQuantizationSpec), "
        "or use the policy bit-exact to keep the op on the CPU (guard)."
    )
    scope = "node"
    message = "{node} brings its operands to a scale of {scale:.4g} and rounds them there"
    effects = EffectsTable([EffectRow("*", "*", "*", Effect.BOUNDED, reference="InsertRescaleInt32Pass")])
    bad = (Example("maximum of two scales", _pair("aten.maximum.default", 0.0311)),)
    good = (
        Example("maximum of one scale", _pair("aten.maximum.default", 0.0487)),
        Example("maximum of a scale and its double", _pair("aten.maximum.default", 2 * 0.0487)),
    )
    references = ("found by this project's differential tests; not in the catalogue of bug classes",)
    refused = False

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for name, scale in smallest_scales(view).items():
            node = view.graph[name]
            inputs = [view.in_qp(node, position) for position in (0, 1)]
            ratio = max(qparams.scale for qparams in inputs if qparams is not None) / scale
            if abs(ratio - round(ratio)) < _MULTIPLE * ratio:
                continue
            quantizers = view.out_q(node)
            out = view.qparams(quantizers[0]) if quantizers else None
            steps = float(math.ceil(scale / (2 * out.scale))) if out is not None and out.scale > 0 else None
            yield self.finding(
                view,
                target,
                (node,),
                case="*",
                qparams=tuple((f"input {place}", str(qparams)) for place, qparams in enumerate(inputs)),
                bound_steps=steps,
                bound_value=steps * out.scale if steps is not None and out is not None else None,
                node=name,
                scale=scale,
            )
