"""QP306: a reciprocal or rsqrt of a value that has only a few codes where it is smallest."""

from __future__ import annotations

import math
from collections.abc import Iterator

from fuseguard.backend.value_range import reach_on
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, Trait, View
from fuseguard.ir.scalar_functions import parameters_of
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.qparams.qp306")

#: With eight codes or more, half a step is a sixteenth of the value at most.
_FEW_CODES = 8.0

_EAGER = "visible in the eager quantized program"


class AmplifiedRounding(Rule):
    code = "QP306"
    name = "amplified-rounding"
    summary = "A reciprocal or rsqrt reads a value that has only a few codes where it is smallest."
    why = (
        "Near 0, 1/x and rsqrt(x) are steep: they amplify the rounding of a small operand. The range of the result "
        "tells how small the operand was in calibration. If that is a handful of its codes (the variance of a layer "
        "norm over nearly constant rows, whose steps are as large as a wide variance or the observer's smallest scale "
        "makes them), half a step of the operand is a large part of the result, and the whole normalized tensor is "
        "off by it. The backend computes what the program says, but the program is coarse. In 16 bits, the backend "
        "may round once more than the program does, and one step of the operand may be thousands of steps of the "
        "output."
    )
    remedy = (
        "Give the variance more codes: leave the normalization in float, add a larger epsilon before the function "
        "(1e-5 instead of 1e-12), scale the operand up before it is quantized, or calibrate without constant rows."
    )
    scope = "node"
    message = (
        "{node} reads a value that has {codes} of its codes where it is smallest ({smallest:.3g} in steps of "
        "{step:.3g}): rounding it by half a step changes the result by {change}"
    )
    effects = EffectsTable([EffectRow("*", "*", "*", Effect.QUALITY, reference=_EAGER)])
    bad = examples.BAD
    good = examples.GOOD
    refused = False
    in_program = True

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node in view.calls(Trait.UNARY):
            exponent = _exponent(node)
            if not exponent or not node.annotated:
                continue
            dq, data, out = view.in_dq(node, 0), view.in_qp(node, 0), view.out_qp(node)
            if dq is None or data is None or out is None or not (data.usable and out.usable) or out.high <= 0:
                continue
            smallest = _power(out.high, 1 / exponent)
            if not smallest < _FEW_CODES * data.scale:
                continue
            reached = reach_on(view, target).codes(dq)
            if reached is not None and reached[0] - data.zero_point >= _FEW_CODES:
                continue
            codes = smallest / data.scale
            yield self.finding(
                view,
                target,
                (node,),
                case="*",
                qparams=(("input", str(data)), ("output", str(out))),
                node=node.name,
                codes=f"{codes:.2g}" if codes >= 1 else "less than 1",
                smallest=smallest,
                step=data.scale,
                change=f"up to {100 * _change(codes, exponent):.0f} %" if codes > 1 else "any amount",
            )


def _exponent(node: Node) -> float:
    """The negative power that an op raises to; 0 for any other op."""
    if node.kind == "pow":
        parameters = parameters_of(node)
        return min(parameters[0], 0.0) if len(parameters) == 1 else 0.0
    return {"reciprocal": -1.0, "rsqrt": -0.5}.get(node.kind, 0.0)


def _change(codes: float, exponent: float) -> float:
    """The relative change of the result if an operand of this many codes changes by half a step."""
    return abs(_power((codes - 0.5) / codes, exponent) - 1)


def _power(base: float, exponent: float) -> float:
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return math.inf
