"""PL403: a convolution or linear with only its weight, or only its data, quantized."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.quantized_operands import ANCHORS, half_quantized
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rewrite, Rule, Unannotate
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.placement.pl403")

_CHECKED = "CheckProperQuantization"
_TYPES = "tosa.CONV2D requires weights of the same type as its input"
_WEIGHT = "the linear is decomposed, and its transposed weight delegated on its own"


class WeightOnly(Rule):
    code = "PL403"
    name = "anchor-half-quantized"
    summary = "A convolution or linear has a quantized weight and float data, or quantized data and a float weight."
    why = (
        "The backend folds the DQs of an annotated convolution or linear, even if its other operands are in float. No "
        "TOSA operator takes one of the two in integers and the other in float, so lowering crashes. The INT profile "
        "leaves the op on the CPU (CheckProperQuantization). But it decomposes a linear with float data, and "
        "delegates the transpose of the quantized weight on its own, as a float constant that the profile does not "
        "have."
    )
    remedy = (
        "Quantize both data and weight, or neither (this backend does not support weight-only and dynamic "
        "configurations), or let fuseguard keep the op on the CPU (guard)."
    )
    scope = "cluster"
    message = "{anchor} has a quantized {quantized}, but its {plain} is in float"
    effects = EffectsTable(
        [
            EffectRow("linear weight", "*", "INT", Effect.CRASH, reference=_WEIGHT),
            EffectRow("*", "*", "INT", Effect.CPU_FALLBACK, reference=_CHECKED),
            EffectRow("*", "*", "INT+FP", Effect.CRASH, reference=_TYPES),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node in view.of_kind(*ANCHORS):
            half = half_quantized(view, node)
            if half is None:
                continue
            yield self.finding(
                view,
                target,
                (node, *half.between),
                case="linear weight" if half.weight_only and node.kind != "conv" else "other",
                anchor=node.name,
                quantized="weight" if half.weight_only else "input",
                plain="input" if half.weight_only else "weight",
            )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Make a half-quantized op compute in float, as the program says. None for a convolution.

        FoldScalarMulIntoConvPass (1.4 and newer) tries to fold the Q after a float convolution into its weights, and
        crashes if these are buffers, as quantized ones are.
        """
        del target
        if view.graph[finding.nodes[0]].kind == "conv":
            return None
        return Rewrite(tuple(Unannotate(name) for name in finding.nodes))
