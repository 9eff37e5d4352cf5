"""OP706: two ops that work in int32 follow each other, and the backend omits the quantization between them."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.int32_bounds import error_bound, excess, held_apart, overflows, rounds
from fuseguard.backend.int32_rescales import fused_rescales
from fuseguard.backend.releases import FUSES_RESCALES
from fuseguard.backend.value_range import reach_past
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.operator.op706")

_FUSED = "FuseConsecutiveRescalesPass, #17830"


class SaturationSkipped(Rule):
    code = "OP706"
    name = "saturation-skipped"
    summary = "Between two ops that work in int32, the backend omits the rounding and saturation of a quantize op."
    why = (
        "InsertRescaleInt32Pass puts RESCALEs around add, sub, mul, maximum, minimum, abs, sum and comparisons. If "
        "the RESCALE to int8 after one such op meets the RESCALE to int32 before the next, and the two scales cancel "
        "out (to 1e-6), FuseConsecutiveRescalesPass removes both. The next op then reads the int32 result, which was "
        "neither rounded nor saturated to the codes of the quantize op between the two. This is closer to the float "
        "model, but it is not what the quantized program says. The pass's own documentation expects 0 to 1 steps for "
        "calibrated values and up to about 120 beyond; 192 were measured. It happens where the same scales recur: "
        "minimum(maximum(x, -3), 3), (h - tanh(h)) + h, or in A16W8, whose observers choose no scale below 2**-12."
    )
    remedy = (
        "Usually nothing: values beyond the codes are beyond what was calibrated. For bit-exact results, put a "
        "data-movement op between the two, write a pair of maximum and minimum as clamp, or use the bit-exact policy, "
        "which keeps the two ops on the CPU (guard) or puts a view between them (repair)."
    )
    scope = "cluster"
    message = (
        "{second} reads the int32 result of {first}, {least:.4g} to {most:.4g}, and skips the quantize op between "
        "them, which holds {low:.4g} to {high:.4g} in steps of {step:.4g}"
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
        reach = reach_past(view, pairs)
        from_wider = {pair.reader.name for pair in pairs}
        passed_on = {pair.producer.name for pair in pairs}
        for pair in pairs:
            between = view.qparams(pair.q)
            if between is None or not (excess(view, pair, reach) or rounds(view, pair)):
                continue
            if overflows(view, pair, reach):
                continue  # OP710's
            values = reach.of(pair.producer)
            # In a chain, the values exceed the range of the codes, and the result is not a code either.
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
        """Insert a view between the two: the RESCALEs on its sides stay separate."""
        del target
        return held_apart(view, *(view.graph[name] for name in finding.nodes))
