"""OP724: a result of a delegate that is one of its inputs, for which Vela finds no operator that writes it."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.passed_on_inputs import entering_values, passed_on_inputs
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, ReturnInstead, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.operator.op724")

_DROPPED = "the passes drop what changes nothing, and Vela refuses an output without a writer"
_PADS = "a pad by nothing stays in the TOSA"


class ResultIsDelegateInput(Rule):
    code = "OP724"
    name = "result-is-delegate-input"
    summary = "A result of an Ethos-U delegate is one of its inputs, unchanged, and Vela refuses to compile it."
    why = (
        "A clone, dropout in eval mode, a view to the same shape or a pad of size 0 changes no value, and two "
        "permutes or an unsqueeze and a squeeze cancel out. The backend's passes drop such ops. If their result "
        "leaves the delegate and their operand enters it, the TOSA has an output that is an input, and no operator "
        "that writes it. The TOSA reference model passes the input on, and so does a VGF. Vela ends with 'Output "
        "tensor ... does not have any writers', and to_edge_transform_and_lower raises. The partitioner drops a "
        "partition that has only no-ops. It does not look for no-ops beside other ops, or for ops that cancel out."
    )
    remedy = "Return what the op reads (repair), or let fuseguard keep the op on the CPU (guard)."
    scope = "boundary"
    message = "{value} leaves the delegate and is {entering}, which enters it: no operator of the TOSA writes it"
    accelerator = "ethos-u55-128"
    effects = EffectsTable(
        [
            EffectRow("pad", "<1.5", "*", Effect.EXACT, reference=_PADS, engine="vela", measured_on=("1.4.1",)),
            EffectRow("*", "*", "*", Effect.CRASH, reference=_DROPPED, engine="vela", measured_on=("1.4.1", "1.5.1")),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("found by this project's Vela engine",)

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if not target.accelerator.startswith("ethos-u"):
            return
        for value, entering, between in passed_on_inputs(view, target):
            nodes = between if between[-1] is value else (*between, value)
            case = "pad" if any(op.kind == "pad" for op in between) else "*"
            yield self.finding(view, target, nodes, case=case, value=value.name, entering=entering.name)

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """The program returns what enters the delegate, where it returns what leaves it."""
        value = view.graph[finding.nodes[-1]]
        entering = entering_values(view, target).get(value.name)
        if entering is None or not view.users(value) or value.name in view.graph.mutations.values():
            return None
        if any(user.op != "output" for user in view.users(value)):
            return None
        return Rewrite((ReturnInstead(value.name, entering.name),))
