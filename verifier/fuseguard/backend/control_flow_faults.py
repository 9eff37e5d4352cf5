"""What disagrees around a cond or while_loop: the case, the node, and what the node disagrees with.

Source: ``InsertControlFlowRescalesPass`` and ``FoldAndAnnotateQParamsPass._handle_control_flow_node`` of ExecuTorch
1.2.0, 1.3.1, 1.4.1 and 1.5.1.

Rules that depend on it: BO603.
"""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.control_flow import Call, changes_codes, is_countable
from fuseguard.ir import Trait

#: Case (of BO603's effects table), name of the operand or result, what it disagrees with.
Fault = tuple[str, str, str]


def after_unentered(call: Call) -> Iterator[Fault]:
    """Operands of a loop that no value enters whose codes mean something else after it."""
    for number, (node, given) in enumerate(zip(call.operands, call.operand_qparams(), strict=True)):
        read = call.result_qparams(number)
        if given is None or read is None or given.same_domain(read):
            continue
        countable = is_countable(given) and is_countable(read) and given.qmin <= given.qmax
        if not countable or changes_codes(given, read):
            yield "passed", node.name, str(read)


def among_operands(call: Call) -> Iterator[Fault]:
    """Operands with other qparams than the first that has some, which stand for all; and those in float on one side."""
    known = [(node, qparams) for node, qparams in zip(call.operands, call.operand_qparams(), strict=True) if qparams]
    first, common = known[0] if known else (None, None)
    for number, (node, qparams) in enumerate(zip(call.operands, call.operand_qparams(), strict=True)):
        bare = call.read_in_float(number)
        if qparams is None:
            quantized = node.meta is not None and node.meta.is_float and any(call.entries(number))
            if quantized and first is not None:
                yield "float-operand", node.name, first.name
            elif quantized:
                yield "float-operands", node.name, ""
        elif bare is not None:
            yield "no-entry", node.name, bare.name
        elif common is not None and call.is_used(number) and call.tells_apart(number, qparams, common):
            yield "operands", node.name, first.name if first is not None else ""


def at_exits(call: Call) -> Iterator[Fault]:
    """Quantized results that a body yields in float."""
    for number, node in call.results.items():
        end = call.bare_end(number) if call.result_qparams(number) is not None else None
        if end is not None:
            moved = end.annotated and end.info.has(Trait.TRANSPARENT)
            yield "moved-exit" if moved else "no-exit", node.name, end.name


def at_entries(call: Call) -> Iterator[Fault]:
    """Operands that one body quantizes in more than one way."""
    for number, node in enumerate(call.operands):
        for entries in call.entries(number):
            other = next((qparams for qparams in entries if not qparams.same_domain(entries[-1])), None)
            if other is not None:
                yield "entry", node.name, str(other)
                break


def between_rounds(call: Call) -> Iterator[Fault]:
    """Carried values that the next round reads otherwise than the body yields them."""
    for number, carry in enumerate(call.carries() if call.is_loop else ()):
        if carry is None:
            continue
        entries = {found[-1] for found in call.entries(number) if found and is_countable(found[-1])}
        if any(map(carry.tells_apart, entries)):
            case = "rounded" if carry.only_rounds else "loop"
            yield case, call.operands[number].name, str(carry.after)
