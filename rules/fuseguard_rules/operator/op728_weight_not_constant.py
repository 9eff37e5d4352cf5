"""OP728: a convolution or linear whose weight is computed, where the backend asks for a constant."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.computed_weights import computed_weights
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.operator.op728")

_VALUES = "get_param_tensor: unsupported param type"
_BIAS = "RewriteConvPass: Failed to insert the bias; Const placeholder nodes must be inserted before the first input"
_LAYOUT = "RewriteConvPass arranges a constant; the computed weight keeps its layout: Invalid TOSA graph"


class WeightNotConstant(Rule):
    code = "OP728"
    name = "weight-not-constant"
    summary = "The weight of a convolution or linear depends on an input of the program."
    why = (
        "The partitioner takes a convolution or linear whatever its weight is. RewriteConvPass and "
        "FoldScalarMulIntoConvPass look up the values of the weight, which are known only of a parameter or buffer, "
        "and lowering crashes. Before 1.3, this happens to a depthwise convolution and to one without a bias (which "
        "is added as a constant in front of the weight). The others are exact, except for a transposed convolution: "
        "its weight has the wrong layout, and the delegate does not run. The INT profile leaves a convolution or "
        "linear in float on the CPU."
    )
    remedy = (
        "Write torch.matmul(x, weight.t()) instead of a linear: the backend has a matmul of two computed tensors. Make "
        "the weight a parameter or buffer if it does not depend on an input, or let fuseguard keep the op on the CPU "
        "(guard)."
    )
    scope = "cluster"
    message = "{anchor} has the weight {weight}, which is computed, and lowering needs its values"
    effects = EffectsTable(
        [
            EffectRow("float", "*", "INT", Effect.CPU_FALLBACK, reference="CheckArmQuantized"),
            EffectRow("unbiased", "<1.3", "*", Effect.CRASH, reference=_BIAS),
            EffectRow("biased", "<1.3", "*", Effect.EXACT, reference="nothing looks up the values of the weight"),
            EffectRow("transposed", "<1.3", "*", Effect.RUNTIME_FAULT, reference=_LAYOUT),
            EffectRow("*", "*", "*", Effect.CRASH, reference=_VALUES),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for found in computed_weights(view, target):
            owner = view.output_owner(found.anchor)
            nodes = (found.anchor,) if owner is found.anchor else (found.anchor, owner)
            yield self.finding(
                view, target, nodes, case=found.case, anchor=found.anchor.name, weight=found.weight.name
            )
