"""BO608: a body of a cond or while_loop yields one of its operands, for which Vela finds no operator that writes it."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.passed_on_operands import passed_on_operands
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.boundary.bo608")

_FOLDED = "Q and DQ around the operand are folded, and Vela refuses an output without a writer"
_CARRIED = "NormalizeWhileInitialArgsPass yields additional inputs as well, and RemoveNoopPass drops the clones"

_WHAT = {
    "operand": "a body yields operand {operand} as it is",
    "additional": "the backend makes its body yield the additional input {operand} as it is",
}


class BodyHandsOnOperand(Rule):
    code = "BO608"
    name = "body-hands-on-operand"
    summary = "A body of a cond or while_loop for Ethos-U85 yields an operand unchanged, and Vela refuses it."
    why = (
        "The bodies of control flow become blocks of the TOSA. The backend folds the Q and the DQ around an operand "
        "that a body yields. If no RESCALE is necessary, the result of the block is its input, and no operator "
        "writes it. The additional inputs of a while_loop are always such results: the backend carries them along, "
        "because a loop in TOSA has as many results as inputs, and drops the clones that it makes for this. The TOSA "
        "reference model passes the input on. Vela ends with 'Output tensor ... does not have any writers', and "
        "to_edge_transform_and_lower raises. OP724 is the same fault outside of control flow, and in a body with ops "
        "that change nothing."
    )
    remedy = (
        "Yield torch.maximum(x, x) instead of x: it has the same codes, and the backend keeps it. Carry an additional "
        "input of a while_loop along and yield it in this way. The guard cannot help: it refuses nodes one by one, and "
        "bodies that are delegated without their op fail to lower."
    )
    scope = "boundary"
    message = "{op}: {what}, and no operator of the TOSA writes it"
    accelerator = "ethos-u85-256"
    effects = EffectsTable(
        [
            EffectRow(
                "operand", "*", "*", Effect.CRASH, reference=_FOLDED, engine="vela", measured_on=("1.4.1", "1.5.1")
            ),
            EffectRow(
                "additional", "*", "*", Effect.CRASH, reference=_CARRIED, engine="vela", measured_on=("1.4.1", "1.5.1")
            ),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("found by this project's Vela engine",)
    #: If only the op is refused, its bodies stay tagged for a delegate, and lowering crashes (BO603).
    refused = False

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if not target.accelerator.startswith("ethos-u") or "cf" not in target.extensions:
            return
        for call, operand, additional in passed_on_operands(view, target):
            case = "additional" if additional else "operand"
            what = _WHAT[case].format(operand=operand.name)
            yield self.finding(view, target, (call.node,), case=case, op=call.node.name, what=what)
