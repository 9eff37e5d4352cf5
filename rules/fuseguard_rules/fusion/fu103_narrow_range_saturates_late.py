"""FU103: a code range narrower than its dtype, which the backend's rescale ignores."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.fused_activation import fused_activations, is_quantized_anchor, labelled_qparams
from fuseguard.engine import Call, Effect, EffectRow, EffectsTable, Finding, Insert, Pair, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import QParams, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.fusion.islands")


class NarrowRangeSaturates(Rule):
    code = "FU103"
    name = "narrow-range-saturates-late"
    summary = "An anchor's output code range is narrower than its dtype; the backend saturates at the dtype's limits."
    why = (
        "TOSA's RESCALE saturates at the limits of int8 or int16; it has no qmin and qmax. If a program quantizes to a "
        "narrower range ([-127, 127] in symmetric configurations), a clipped value comes out one code further than in "
        "the eager program. No other value changes, and the difference never exceeds the number of codes that were cut "
        "off."
    )
    remedy = (
        "Nothing, if one step at the clipped end does not matter. For bit-exact results, quantize activations over the "
        "full range (act_qmin=-128 in get_symmetric_quantization_config), or guard with policy='bit-exact'."
    )
    scope = "cluster"
    message = "{owner} is quantized to codes [{qmin}, {qmax}]; the backend saturates at {dtype}'s [{low}, {high}]"
    effects = EffectsTable(
        [
            EffectRow("*", "*", "INT", Effect.BOUNDED, reference="RewriteConvPass.insert_output_rescale"),
            EffectRow("*", "*", "INT+FP", Effect.BOUNDED, reference="RewriteConvPass.insert_output_rescale"),
        ]
    )
    bad = examples.NARROW
    good = examples.FULL_RANGE
    refused = False

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        # An activation that stays a separate clamp cuts the excess codes off again.
        reported = {f.island.anchor.name for f in fused_activations(view, target) if not (f.fused and f.expressible)}
        for island in view.islands:
            if island.output_q is None or island.anchor.name in reported or not is_quantized_anchor(view, island):
                continue
            qparams = view.qparams(island.output_q)
            if qparams is None or not qparams.usable or qparams.dtype != "int8":
                continue  # the one code that Arm's int16 configuration leaves out is below int16's own rounding
            low, high = qparams.dtype_range
            excess = max(qparams.qmin - low, high - qparams.qmax)
            if excess <= 0:
                continue
            yield self.finding(
                view,
                target,
                (island.anchor, island.activation) if island.activation is not None else (island.anchor,),
                case="*",
                island=island,
                bound_steps=excess,
                bound_value=excess * qparams.scale,
                qparams=labelled_qparams(view, island),
                owner=island.owner.name,
                qmin=qparams.qmin,
                qmax=qparams.qmax,
                dtype=qparams.dtype,
                low=low,
                high=high,
            )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Insert the full range after the anchor, and a separate clamp to the narrow range."""
        del target
        owner = view.graph[finding.nodes[-1]]
        quantizers, qparams = view.out_q(owner), view.out_qp(owner)
        if qparams is None or view.users(owner) != quantizers or len(quantizers) != 1:
            return None
        full = QParams.per_tensor(qparams.scale, qparams.zero_point, *qparams.dtype_range, qparams.dtype)
        clamp = Call("aten.hardtanh.default", (qparams.low, qparams.high))
        return Rewrite((Insert(owner.name, (quantizers[0].name,), (Pair(full), clamp)),))
