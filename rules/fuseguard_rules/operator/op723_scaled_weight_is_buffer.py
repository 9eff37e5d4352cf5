"""OP723: a convolution in float with a weight or bias that is a buffer, into which a factor is folded."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.fold_scalar_mul import buffers_scaled, scaled_as
from fuseguard.backend.partition import stays_on_cpu_with_float
from fuseguard.backend.quantized_operands import quantized_source
from fuseguard.backend.rewrites import as_parameters
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.operator.op723")

_CRASH = "FoldScalarMulIntoConvPass: Must set persistent_buffer when creating a new buffer"


class ScaledWeightIsBuffer(Rule):
    code = "OP723"
    name = "scaled-weight-is-buffer"
    summary = "A factor is folded into the weight of a convolution in float, and weight or bias is a buffer."
    why = (
        "With float support, a convolution without Arm's annotation is computed in float. Since 1.4, "
        "FoldScalarMulIntoConvPass multiplies its weight and bias by what its result is multiplied by: a constant, or "
        "the 1/scale of the quantize op after it. (Since 1.5, it does so for a conv1d, too.) It stores the product as "
        "what the weight was stored as. For a buffer, as a fixed filter has it, it does not say whether the buffer is "
        "persistent, and lowering crashes. A parameter works. The INT profile leaves the convolution on the CPU."
    )
    remedy = (
        "Register the weight and bias as parameters (requires_grad=False). Otherwise, let fuseguard keep the "
        "convolution on the CPU (guard), or repair: the buffer becomes a parameter of the same values."
    )
    scope = "cluster"
    message = "{conv} has the factor after it folded into {buffers}, which {verb} not stored as a parameter"
    effects = EffectsTable(
        [
            EffectRow("*", "*", "INT", Effect.CPU_FALLBACK, reference="CheckArmQuantized"),
            EffectRow("conv", ">=1.4", "INT+FP", Effect.CRASH, reference=_CRASH),
            EffectRow("conv1d", ">=1.5", "INT+FP", Effect.CRASH, reference=_CRASH),
            EffectRow("*", "*", "INT+FP", Effect.EXACT, reference="no such pass; 1.4 has a view after a conv1d"),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for conv in view.of_kind("conv"):
            if conv.annotated or stays_on_cpu_with_float(view, conv, target):
                continue
            if quantized_source(view, view.graph.node_of(conv.args[1])):  # PL404's
                continue
            buffers = buffers_scaled(view, conv)
            case = scaled_as(view, conv, target) if buffers else ""
            if case:
                yield self.finding(
                    view, target, (conv,), case=case, conv=conv.name,
                    buffers=" and ".join(node.name for node in buffers), verb="are" if len(buffers) > 1 else "is",
                )  # fmt: skip

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Parameters in place of the buffers."""
        if not target.has_float:
            return None
        return as_parameters(buffers_scaled(view, view.graph[finding.nodes[0]]))
