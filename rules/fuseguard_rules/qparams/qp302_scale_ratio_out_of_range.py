"""QP302: scales so far apart that a RESCALE between them is out of range."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.rescales import RESCALED, quantizers_of, rescales_around
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.qparams.qp302")


class ScaleRatio(Rule):
    code = "QP302"
    name = "scale-ratio-out-of-range"
    summary = "Two scales at one operator lie so far apart that the RESCALE between them overflows."
    why = (
        "TOSA's RESCALE multiplies by a 31-bit number and shifts right by 2 to 62 bits, and requires that the value "
        "fits the shift. A result of about 2**30 steps or more is TOSA_UNPREDICTABLE, and a factor from 2**29 on "
        "cannot be encoded at all. InsertRescaleInt32Pass rescales the operands of maximum, minimum and the "
        "comparisons to the smaller of their scales, so operands that are 2**22 apart reach this limit. In A16W8, a "
        "convolution has 15-bit multipliers: a factor from 2**13 on cannot be encoded, and a result of 2**31 steps is "
        "undefined. A factor that is too small does no harm: the result rounds to 0."
    )
    remedy = (
        "Bring the two ranges together: clamp or rescale the larger one before the operator, keep infinities and mask "
        "values like -1e9 out of quantized tensors, or leave the operator in float."
    )
    scope = "node"
    message = "{node} needs a RESCALE of {what} by {factor:.4g}{limit}"
    effects = EffectsTable(
        [
            EffectRow("shift", "*", "*", Effect.CRASH, reference="_compute_multiplier_and_shift: range [2, 62]"),
            EffectRow("overflow", "*", "*", Effect.UNDEFINED, reference="TOSA apply_scale_32: value against shift"),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("executorch #15976",)

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node in view.of_kind(*RESCALED):
            for rescale in rescales_around(view, node):
                fault = rescale.fault()
                if not fault:
                    continue
                limit = "" if fault == "shift" else f", and values up to {rescale.reach:.4g} do not fit its shift"
                yield self.finding(
                    view,
                    target,
                    (node, *quantizers_of(view, node)) if view.is_dq(node) else (node,),
                    case=fault,
                    qparams=_labelled(view, node),
                    node=node.name,
                    what=rescale.what,
                    factor=rescale.factor,
                    limit=limit or ", which has no shift",
                )
                break  # one finding for one operator


def _labelled(view: View, node: Node) -> tuple[tuple[str, str], ...]:
    found = [(f"input {i}", view.in_qp(node, i)) for i in range(2)]
    found += [("output", view.qparams(q)) for q in view.out_q(node)[:1]]
    return tuple((label, str(qparams)) for label, qparams in found if qparams is not None)
