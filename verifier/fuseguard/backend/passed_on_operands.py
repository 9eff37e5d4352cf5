"""Which operands a delegated cond or while_loop yields as they are: nothing in the TOSA of the body writes the result.

Source: ``ControlFlowOpSupported`` (``_fully_partitioned``: a Q after a placeholder and a DQ before the output need no
partition), ``NormalizeWhileInitialArgsPass``, by which a loop yields its additional inputs too, ``RemoveNoopPass``,
which drops the clone that it adds, and ``InsertControlFlowRescalesPass``, whose RESCALEs write a result where qparams
differ (ExecuTorch 1.5.1). Vela 5.1.0 refuses the TOSA: "Output tensor ... does not have any writers".

Rules that depend on it: BO608.
"""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.control_flow import Body, Call, calls
from fuseguard.backend.partition import computes_nothing, is_delegated
from fuseguard.ir import Node, QParams, View
from fuseguard.target import Target


def passed_on_operands(view: View, target: Target) -> Iterator[tuple[Call, Node, bool]]:
    """A control-flow op, the operand that a body yields as it is, and whether it is an additional input of a loop."""
    for call in calls(view):
        if all(_is_partitioned(body, target) for body in call.bodies):
            yield from ((call, operand, False) for operand in _handed_on(call))
            yield from ((call, operand, True) for operand in _additional(call))


def _handed_on(call: Call) -> Iterator[Node]:
    """The operands that a body yields itself, each once."""
    found: dict[str, Node] = {}
    for body in call.bodies[-1:] if call.is_loop else call.bodies:
        for number, end in enumerate(body.ends):
            place, entered = _entry(body, end)
            if place is None or place >= len(call.operands) or _is_rescaled(call, entered):
                continue
            if call.result_qparams(number) in (None, entered):
                found.setdefault(call.operands[place].name, call.operands[place])
    yield from found.values()


def _additional(call: Call) -> Iterator[Node]:
    """The additional inputs of a loop. Where the body quantizes one with other qparams, a RESCALE writes it."""
    for number in range(len(call.operands) - call.fixed, len(call.operands)):
        entries = call.entries(number)[-1:]
        if not any(_is_rescaled(call, qparams) for found in entries for qparams in found[-1:]):
            yield call.operands[number]


def _entry(body: Body, end: Node | None) -> tuple[int | None, QParams | None]:
    """The number of the operand that an end of a body is, and its qparams there, if only a Q and a DQ are between."""
    q = body.view.producer(end) if end is not None and body.view.is_dq(end) else None
    entry = body.view.producer(q) if q is not None and body.view.is_q(q) else None
    if end is None or q is None or entry is None or body.view.qparams(q) != body.view.qparams(end):
        return None, None
    place = next((number for number, given in enumerate(body.inputs) if given is entry), None)
    return place, body.view.qparams(q)


def _is_rescaled(call: Call, entered: QParams | None) -> bool:
    """Whether a body rescales an operand where it enters: all operands have the qparams of the first quantized one."""
    common = call.common_qparams
    return common is not None and entered != common


def _is_partitioned(body: Body, target: Target) -> bool:
    """Whether all of a body is in one partition, or there is nothing in it that needs one."""
    view = body.view
    ops = [node for node in view.calls() if not view.is_q(node) and not view.is_dq(node)]
    if any(node.annotated and not is_delegated(view, node, target) for node in ops):
        return False
    if ops and all(computes_nothing(view, node, target) for node in ops):
        return False  # a partition of no-ops is dropped
    return not any(_is_untagged(view, node) for node in view.calls() if view.is_dq(node))


def _is_untagged(view: View, dq: Node) -> bool:
    """Whether a DQ stays outside of the partition and is not in front of an end: an end and an op read it."""
    first, *others = view.users(dq)
    return first.op != "output" and any(user.op == "output" for user in others)
