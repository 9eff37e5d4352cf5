"""OP710: an int16 product reads a value that a quantize op would have saturated, and overflows int32."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.int32_bounds import held_apart, overflows
from fuseguard.backend.int32_rescales import fused_rescales
from fuseguard.backend.releases import FUSES_RESCALES
from fuseguard.backend.value_range import reach_past
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.operator.op710")

_FUSED = "FuseConsecutiveRescalesPass, #17830; TOSA MUL of int32 wraps around"


class ProductOverflows(Rule):
    code = "OP710"
    name = "unsaturated-product-overflows"
    summary = "A product of int16 values skips the quantize op that would have saturated one of them."
    why = (
        "The product of two int16 codes fits into int32 with one bit to spare. If FuseConsecutiveRescalesPass removes "
        "the quantize op after a sum, add or another op that works in int32 (OP706), the product reads the int32 "
        "result. A value more than twice as large as the codes hold then overflows, and the result is garbage, even in "
        "its sign."
    )
    remedy = (
        "Put a data-movement op between the two, calibrate with values as large as they get, repair the program (a "
        "view between the two), or let fuseguard keep the two ops on the CPU (guard)."
    )
    scope = "cluster"
    message = (
        "{second} multiplies the int32 result of {first}, {least:.4g} to {most:.4g}, which the quantize op between "
        "them would have saturated at {low:.4g} and {high:.4g}"
    )
    effects = EffectsTable(
        [
            EffectRow("*", "<1.3", "*", Effect.EXACT, reference="no FuseConsecutiveRescalesPass"),
            EffectRow("*", ">=1.3", "*", Effect.WRONG, reference=_FUSED),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("executorch #17830",)

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if not FUSES_RESCALES.in_force(target):
            return
        pairs = list({(pair.q.name, pair.reader.name): pair for pair in fused_rescales(view)}.values())
        reach = reach_past(view, pairs)
        for pair in pairs:
            between = view.qparams(pair.q)
            if between is None or not overflows(view, pair, reach):
                continue
            least, most = reach.of(pair.producer)
            yield self.finding(
                view,
                target,
                (pair.producer, pair.reader),
                case="*",
                qparams=(("between", str(between)),),
                first=pair.producer.name,
                second=pair.reader.name,
                low=between.low,
                high=between.high,
                least=least,
                most=most,
            )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Insert a view between the two: the RESCALEs on its sides stay separate."""
        del target
        return held_apart(view, *(view.graph[name] for name in finding.nodes))
