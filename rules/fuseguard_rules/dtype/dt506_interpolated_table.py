"""DT506: a 16-bit lookup table that is off by a few steps because it interpolates."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.lookup_table import codes_read, table_error
from fuseguard.backend.quantized_values import is_constant
from fuseguard.backend.rewrites import folded
from fuseguard.backend.value_range import reachable
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Trait, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.dtype.dt506")


class InterpolatedTable(Rule):
    code = "DT506"
    name = "interpolated-table"
    summary = "A 16-bit lookup table differs from its function by a few steps."
    why = (
        "TOSA's TABLE has 513 entries for the 65536 codes of int16 and interpolates between them, so a function that "
        "bends within 128 codes is slightly off. Before 1.5, the last 128 codes get one value. This rule reports an "
        "error of up to a 256th of the table's largest value, which is half a step of int8. A larger one is an error "
        "(DT503). Only codes that the program can reach count."
    )
    remedy = (
        "Usually nothing. Otherwise, narrow the range of the operator's input, leave the operator in float, or use the "
        "bit-exact policy to keep it on the CPU (guard)."
    )
    scope = "node"
    message = "{node} interpolates between 513 entries and is off by at most {steps} of 65536 steps{reached}"
    effects = EffectsTable([EffectRow("*", "*", "*", Effect.BOUNDED, reference="TOSA TABLE, InsertTableOpsPass")])
    bad = examples.BAD
    good = examples.GOOD
    references = ("executorch #21629",)
    refused = False

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node in view.calls(Trait.UNARY):
            data, out = view.in_qp(node, 0), view.out_qp(node)
            error = table_error(view, node, target)
            if is_constant(view, node) or data is None or out is None or not error.steps or not error.tolerable:
                continue
            yield self.finding(
                view,
                target,
                (node,),
                case="*",
                qparams=(("input", str(data)), ("output", str(out))),
                bound_steps=float(error.steps),
                bound_value=error.steps * out.scale,
                node=node.name,
                steps=error.steps,
                reached=reachable(codes_read(view, node, target), (data.qmin, data.qmax)),
            )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Store the result of a table that reads only constants: the rsqrt of a batch norm's variance."""
        del target
        return folded(view, view.graph[finding.nodes[0]])
