"""BO603: the qparams around a cond or while_loop are not what the backend takes them for."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.engine import Effect, EffectRow, EffectsTable, Evidence, Example, Finding, Rule
from fuseguard.ir import View
from fuseguard.target import Target
from fuseguard_rules.boundary import control_flow_calls as graphs
from fuseguard_rules.boundary.control_flow_calls import Call, calls

_ONE_SET = "InsertControlFlowRescalesPass._get_input_qparams_map, FoldAndAnnotateQParamsPass._merge_qparams"
_UNEQUAL = "FoldAndAnnotateQParamsPass before 1.3: Input qparams do not match"
_LOOP = "InsertControlFlowRescalesPass._rescale_while_submodules, #16274"
_LAST = "FoldAndAnnotateQParamsPass._handle_control_flow_node keeps the last Q of a placeholder"
_MIXED = "FoldAndAnnotateQParamsPass folds the DQs that are there"

#: What is said of an operand or result (``one``) and another node or qparams (``other``), by case.
_WHAT = {
    "operands": "operand {one} has other qparams than the first, {other}",
    "float-operand": "operand {one} is in float while {other} is dequantized",
    "entry": "a body quantizes operand {one} to {other} and to something else",
    "loop": "operand {one} comes out of the loop, and into its next round, with other qparams: {other}",
}

_Fault = tuple[str, str, str]


class ControlFlowBoundary(Rule):
    code = "BO603"
    name = "control-flow-qparams-disagree"
    summary = (
        "The operands or carried values of a cond or while_loop have qparams that the backend does not keep apart."
    )
    why = (
        "The backend folds the DQs in front of a control-flow op and the Qs behind it, the Qs at the entries of its "
        "bodies and the DQs at their exits, and puts RESCALEs into the bodies for the difference "
        "(InsertControlFlowRescalesPass). It keeps one set of qparams for all operands, the first's, and one Q for "
        "each entry of a body, the last. What a loop yields is rescaled to the qparams behind the loop, also where it "
        "goes into the next round, which reads it with those of the operands. Control flow is delegated only with the "
        "cf extension; without it the op stays on the CPU, and nothing is reported."
    )
    remedy = (
        "Share one set of qparams among all operands of a cond, and among the operands and results of a while_loop; "
        "quantize an operand once in a body. Or drop the cf extension. The guard cannot help: it refuses nodes one by "
        "one, and bodies that are delegated without their op fail to lower."
    )
    scope = "boundary"
    preview = True
    message = "{op}: {what}"
    effects = EffectsTable(
        [
            EffectRow("operands", "<1.3", "*", Effect.CRASH, reference=_UNEQUAL),
            EffectRow("operands", ">=1.5", "*", Effect.WRONG, reference=_ONE_SET),
            EffectRow("operands", "*", "*", Effect.WRONG, Evidence.SOURCE_READ, _ONE_SET),
            EffectRow("float-operand", "<1.3", "*", Effect.CRASH, reference=_UNEQUAL),
            EffectRow("float-operand", ">=1.5", "INT", Effect.CRASH, reference=_MIXED),
            EffectRow("float-operand", ">=1.5", "INT+FP", Effect.RUNTIME_FAULT, reference=_MIXED),
            EffectRow("float-operand", "*", "INT", Effect.CRASH, Evidence.SOURCE_READ, _MIXED),
            EffectRow("float-operand", "*", "INT+FP", Effect.RUNTIME_FAULT, Evidence.SOURCE_READ, _MIXED),
            EffectRow("entry", "<1.3", "*", Effect.WRONG, reference=_LAST),
            EffectRow("entry", ">=1.5", "*", Effect.WRONG, reference=_LAST),
            EffectRow("entry", "*", "*", Effect.WRONG, Evidence.SOURCE_READ, _LAST),
            EffectRow("loop", ">=1.5", "*", Effect.WRONG, reference=_LOOP),
            EffectRow("loop", "*", "*", Effect.WRONG, Evidence.SOURCE_READ, _LOOP),
        ]
    )
    bad = (
        Example("cond whose operands have different qparams", graphs.cond(graphs.FINE), extensions=("cf",)),
        Example("cond with an operand in float", graphs.cond(None), extensions=("cf",)),
        Example("cond that quantizes an operand twice", graphs.cond(entry=graphs.FINE), extensions=("cf",)),
        Example("while_loop with other qparams behind it", graphs.loop(graphs.COARSE), extensions=("cf",)),
    )
    good = (
        Example("cond with one set of qparams for its operands", graphs.cond(), extensions=("cf",)),
        Example("while_loop with one set of qparams", graphs.loop(), extensions=("cf",)),
    )
    references = (
        "executorch #16274",
        "executorch #19109",
        "executorch #22212",
        "bug class 22 of the project's catalogue",
    )
    #: Refused alone the op leaves its bodies behind, tagged for a delegate, and lowering dies (seen on 1.5.1).
    refused = False

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if "cf" not in target.extensions:
            return
        for call in calls(view):
            for case, one, other in (*_operands(call), *_entries(call), *_loop(call)):
                what = _WHAT[case].format(one=one, other=other)
                yield self.finding(view, target, (call.node,), case=case, op=call.node.name, what=what)


def _operands(call: Call) -> Iterator[_Fault]:
    """Operands with other qparams than the first that has some, which stand for all."""
    known = [(node, qparams) for node, qparams in zip(call.operands, call.operand_qparams(), strict=True) if qparams]
    if not known:
        return
    first, common = known[0]
    for number, (node, qparams) in enumerate(zip(call.operands, call.operand_qparams(), strict=True)):
        if not call.is_used(number):
            continue
        if qparams is None and node.meta is not None and node.meta.is_float:
            yield "float-operand", node.name, first.name
        elif qparams is not None and not qparams.same_domain(common):
            yield "operands", node.name, first.name


def _entries(call: Call) -> Iterator[_Fault]:
    """Operands that one body quantizes in more than one way."""
    for number, node in enumerate(call.operands):
        for entries in call.entries(number):
            other = next((qparams for qparams in entries if not qparams.same_domain(entries[-1])), None)
            if other is not None:
                yield "entry", node.name, str(other)
                break


def _loop(call: Call) -> Iterator[_Fault]:
    """Carried values that the next round reads with other qparams than they have."""
    common = next((qparams for qparams in call.operand_qparams() if qparams), None)
    if not call.is_loop or common is None:
        return
    for number, node in enumerate(call.operands):
        left = call.result_qparams(number) if number in call.results else call.loop_exit(number)
        if left is not None and not left.same_domain(common):
            yield "loop", node.name, str(left)
