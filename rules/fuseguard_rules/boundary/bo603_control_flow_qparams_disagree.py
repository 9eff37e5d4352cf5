"""BO603: the qparams around a cond or while_loop differ from what the backend assumes."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.control_flow import calls
from fuseguard.backend.control_flow_faults import (
    after_unentered,
    among_operands,
    at_entries,
    at_exits,
    between_rounds,
)
from fuseguard.backend.releases import COPIES_LOOP_META
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.boundary.bo603")

_ONE_SET = "InsertControlFlowRescalesPass._get_input_qparams_map, FoldAndAnnotateQParamsPass._merge_qparams"
_UNEQUAL = "FoldAndAnnotateQParamsPass before 1.3: Input qparams do not match"
_LOOP = "InsertControlFlowRescalesPass._rescale_while_submodules, #16274"
_LAST = "FoldAndAnnotateQParamsPass._handle_control_flow_node keeps the last Q of a placeholder"
_MIXED = "FoldAndAnnotateQParamsPass folds the DQs that are there"
_ENTRY = "FoldAndAnnotateQParamsPass folds the DQ in front of the op, and nothing in the body: Expecting ... float32"
_EXIT = "InsertControlFlowRescalesPass._rescale_submodule_outputs: KeyError"
_ONE_END = "FoldAndAnnotateQParamsPass folds the ends that are quantized: When merging two branches' output"
_SHARED_META = (
    "NormalizeWhileInitialArgsPass before 1.4 gives the clone its placeholder's meta: Unexpected key output_qparams"
)
_REJECTED = "ControlFlowOpSupported: Submodule was not fully partitioned"

#: What the message says of an operand or result (``one``) and another node or qparams (``other``), by case.
_WHAT = {
    "additional": "its body quantizes operand {one} with {other}, and does not carry it along",
    "operands": "operand {one} and the first operand, {other}, have different qparams",
    "float-operand": "operand {one} is in float, {other} is dequantized, and a body quantizes both",
    "float-operands": "operand {one} is in float, and a body quantizes it",
    "entry": "a body quantizes operand {one} to {other} and also to other qparams",
    "no-entry": "a body reads operand {one} in float, at {other}",
    "no-exit": "{one} is quantized, but a body yields it in float, from {other}",
    "moved-exit": "{one} is quantized, but a body moves it again after its last dequantize op, in {other}",
    "loop": "operand {one} leaves a round with {other}, but the next round reads it with other qparams",
    "passed": "no value meets its condition: operand {one} is returned unchanged, but read with other qparams, {other}",
    "rounded": "operand {one} is rounded once more between two rounds, to {other}",
}


class ControlFlowBoundary(Rule):
    code = "BO603"
    name = "control-flow-qparams-disagree"
    summary = (
        "The operands or carried values of a cond or while_loop have qparams that the backend does not keep apart."
    )
    why = (
        "The backend folds the DQs before a control-flow op and the Qs after it, the Qs at the entries of its bodies "
        "and the DQs at their exits. It inserts RESCALEs into the bodies for the difference "
        "(InsertControlFlowRescalesPass). It keeps one set of qparams for all operands (the first operand's) and one Q "
        "for each entry of a body (the last one). It rescales what a loop yields to the qparams after the loop, even "
        "where the value goes into the next round, which reads it with the qparams of the operands. If the two sets "
        "are the same, this costs one extra rounding per round. Arm's quantizer shares qparams among the operands and "
        "results, but not with the additional inputs of a while_loop. Before 1.4, a body that quantizes one of them "
        "does not lower at all. A loop that was calibrated on values that never meet its condition is not reported: "
        "the values that it compares are clamped to the observed range, so no input enters the loop. Control flow is "
        "delegated only with the cf extension. Without it, the op stays on the CPU and nothing is reported."
    )
    remedy = (
        "Share one set of qparams among all operands of a cond, and among the operands and results of a while_loop. "
        "For additional inputs, carry them along (return step.clone() from the body). Quantize an operand once in each "
        "body, and not at all if it is in float outside. Or drop the cf extension. The guard cannot help: it refuses "
        "nodes one by one, and bodies that are delegated without their op fail to lower."
    )
    scope = "boundary"
    message = "{op}: {what}"
    effects = EffectsTable(
        [
            EffectRow("additional", "<1.4", "*", Effect.CRASH, reference=_SHARED_META),
            EffectRow(
                "additional", ">=1.4", "*", Effect.EXACT, reference="NormalizeWhileInitialArgsPass copies the meta"
            ),
            EffectRow("operands", "<1.3", "*", Effect.CRASH, reference=_UNEQUAL),
            EffectRow("operands", ">=1.3", "*", Effect.WRONG, reference=_ONE_SET),
            EffectRow("float-operand", "<1.3", "*", Effect.CRASH, reference=_UNEQUAL),
            EffectRow("float-operand", ">=1.3", "INT", Effect.CRASH, reference=_MIXED),
            EffectRow("float-operand", ">=1.3", "INT+FP", Effect.RUNTIME_FAULT, reference=_MIXED),
            EffectRow("float-operands", "*", "INT", Effect.CRASH, reference=_MIXED),
            EffectRow("float-operands", "*", "INT+FP", Effect.RUNTIME_FAULT, reference=_MIXED),
            EffectRow("entry", "*", "*", Effect.WRONG, reference=_LAST),
            EffectRow("no-entry", "*", "INT", Effect.CPU_FALLBACK, reference=_REJECTED),
            EffectRow("no-entry", "*", "INT+FP", Effect.CRASH, reference=_ENTRY),
            EffectRow("no-exit", "*", "INT", Effect.CPU_FALLBACK, reference=_REJECTED),
            EffectRow("no-exit", "*", "INT+FP", Effect.CRASH, reference=_ONE_END),
            EffectRow("moved-exit", "*", "*", Effect.CRASH, reference=_EXIT),
            EffectRow("loop", "*", "*", Effect.WRONG, reference=_LOOP),
            EffectRow("passed", "*", "*", Effect.WRONG, reference=_LOOP),
            EffectRow("rounded", "*", "*", Effect.BOUNDED, reference=_LOOP),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("executorch #16274", "executorch #19109", "executorch #22212")
    #: If only the op is refused, its bodies stay tagged for a delegate, and lowering crashes (seen on 1.5.1).
    refused = False

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if "cf" not in target.extensions:
            return
        for call in calls(view):
            faults = [*among_operands(call), *at_entries(call), *at_exits(call), *between_rounds(call)]
            if not COPIES_LOOP_META.in_force(target):  # later releases lower it, so the program is not at fault
                added = [("additional", one.name, q.name) for one, q in call.quantized_additional_inputs()]
                faults = added or faults  # a crash yields no wrong result
            if call.is_never_entered:
                faults = [fault for fault in faults if self._crashes(fault[0], target)] or list(after_unentered(call))
            for case, one, other in faults:
                what = _WHAT[case].format(one=one, other=other)
                yield self.finding(view, target, (call.node,), case=case, op=call.node.name, what=what)

    def _crashes(self, case: str, target: Target) -> bool:
        """Whether lowering or loading fails, which does not need a value that enters the loop."""
        return self.effects.look_up(case, target).effect not in (Effect.WRONG, Effect.BOUNDED)
