"""OP706: two ops that work in int32 follow each other, and the quantization between them is left out."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.int32_bounds import error_bound, excess, held_apart, overflows, rounds
from fuseguard.backend.int32_rescales import fused_rescales
from fuseguard.backend.releases import FUSES_RESCALES
from fuseguard.backend.value_range import Reach
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rewrite, Rule
from fuseguard.ir import View
from fuseguard.target import Target
from fuseguard_rules.examples.operator import op706 as examples

_FUSED = "FuseConsecutiveRescalesPass, #17830"


class SaturationSkipped(Rule):
    code = "OP706"
    name = "saturation-skipped"
    summary = "Between two ops that work in int32 the backend leaves out the rounding and saturation of a quantize op."
    why = (
        "InsertRescaleInt32Pass puts RESCALEs around add, sub, mul, maximum, minimum, abs, sum and comparisons. Where "
        "the RESCALE to int8 behind one such op meets the RESCALE to int32 in front of the next and the two scales "
        "cancel out (to 1e-6), FuseConsecutiveRescalesPass removes both: the next op reads the int32 result, which "
        "was neither rounded nor saturated to the codes of the quantize op between. That is nearer to the float "
        "model, and not what the quantized program says. The pass's own documentation counts on 0 to 1 steps for "
        "calibrated values and up to about 120 beyond; 192 were measured. It happens when the same scales come back: "
        "minimum(maximum(x, -3), 3), (h - tanh(h)) + h, or in A16W8, whose observers choose no scale below 2**-12."
    )
    remedy = (
        "Usually nothing: what is beyond the codes is beyond what was calibrated. To be bit-exact, put an op between "
        "that moves data, write a pair of maximum and minimum as clamp, or use the policy bit-exact, which keeps the "
        "two ops on the CPU (guard) or puts a view between them (repair)."
    )
    scope = "cluster"
    message = (
        "{second} reads the result of {first} in int32, {least:.4g} to {most:.4g}, past the quantize op between, which "
        "holds {low:.4g} to {high:.4g} in steps of {step:.4g}"
    )
    effects = EffectsTable(
        [
            EffectRow("*", "<1.3", "*", Effect.EXACT, reference="no FuseConsecutiveRescalesPass"),
            EffectRow("*", ">=1.3", "*", Effect.BOUNDED, reference=_FUSED),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("executorch #17830",)
    refused = False

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if not FUSES_RESCALES.in_force(target):
            return
        pairs = list({(pair.q.name, pair.reader.name): pair for pair in fused_rescales(view)}.values())
        reach = Reach(view, pairs)
        from_wider = {pair.reader.name for pair in pairs}
        passed_on = {pair.producer.name for pair in pairs}
        for pair in pairs:
            between = view.qparams(pair.q)
            if between is None or not (excess(view, pair, reach) or rounds(view, pair)):
                continue
            if overflows(view, pair, reach):
                continue  # OP710's
            values = reach.of(pair.producer)
            # In a chain the values are wider than the codes say, and the result is no code either.
            alone = pair.producer.name not in from_wider and pair.reader.name not in passed_on
            bound = error_bound(view, pair, reach) if alone else None
            out = view.out_qp(pair.reader)
            yield self.finding(
                view,
                target,
                (pair.producer, pair.reader),
                case="*",
                bound_steps=bound,
                bound_value=bound * out.scale if bound is not None and out is not None else None,
                qparams=(("between", str(between)),),
                first=pair.producer.name,
                second=pair.reader.name,
                low=between.low,
                high=between.high,
                step=between.scale,
                least=values[0],
                most=values[1],
            )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """A view between the two: the RESCALEs on its sides stay two."""
        del target
        return held_apart(view, *(view.graph[name] for name in finding.nodes))
