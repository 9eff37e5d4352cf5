"""Under which qparams the codes of a value were made, and when two qparams agree. The QD rules share it.

Source: ``FoldAndAnnotateQParamsPass`` of ExecuTorch 1.2.0, 1.3.1, 1.4.1 and 1.5.1 (backends/arm/_passes). It takes the
DQs in front of an annotated op and the Q after it away. An op that moves codes without arithmetic gets no RESCALE in
their place, so the codes leave it as they came in.

Rules that depend on it: BO604, PL406, QD201, QD202, QD203, QD204, QD205, and those of leaked_codes and value_range.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from fuseguard.backend.per_view import once_per_view
from fuseguard.backend.proper_quantization import numbers_beside
from fuseguard.ir import Node, QParams, Ref, Trait, View
from fuseguard.ir.graph import Arg
from fuseguard.ir.value import Value

#: Kinds with the trait that are another op by the time qparams are folded: masked_fill is a where over a constant,
#: roll an index_select that nothing annotates, adaptive_avg_pool2d a mean (1.2; an avg_pool2d in edge graphs since).
_REWRITTEN = frozenset({"masked_fill", "roll", "adaptive_avg_pool2d"})

#: Spellings of clone that leave no node behind, so that a DQ and a Q meet and are a requantization of their own.
_VANISHING = frozenset({"aten.contiguous.default"})

#: Lowered with both zero points, and without a scale (op_tosa_neg.get_negate_zero_points).
MOVES_ZERO_POINT = frozenset({"neg"})

#: Positions of the arguments whose codes reach the output, where that is not the first argument alone.
_CODE_ARGUMENTS: dict[str, tuple[int, ...]] = {"where": (1, 2), "index_put": (0, 2)}


class Origin(Value, frozen=True):
    """The DQ whose codes a value is made of. ``moves_zero_point``: something between honours zero points."""

    dq: Node
    qparams: QParams
    moves_zero_point: bool = False


def carries_codes(node: Node) -> bool:
    """Whether the backend lets integer codes through ``node`` unchanged, once it takes it for quantized."""
    if node.op != "call" or not node.info.has(Trait.TRANSPARENT) or node.kind in _REWRITTEN:
        return False
    if node.target in _VANISHING or numbers_beside(node):
        return False
    return node.annotated or node.info.has(Trait.GETITEM)


def code_inputs(view: View, node: Node) -> list[Node]:
    """The inputs whose codes reach the output of ``node``, in order; a list argument is all its members."""
    first = node.args[0] if node.args else None
    if isinstance(first, Ref) and node.kind not in _CODE_ARGUMENTS:
        return [view.graph[first.name]]
    parts: list[Arg] = []
    for position in _CODE_ARGUMENTS.get(node.kind, (0,)):
        argument: Arg = node.args[position] if position < len(node.args) else None
        parts.extend(argument if isinstance(argument, tuple) else (argument,))
    return [view.graph[part.name] for part in parts if isinstance(part, Ref)]


class Origins:
    """The origin of every value that is codes of a DQ, possibly through value-transparent ops. One pass."""

    def __init__(self, view: View) -> None:
        self.of: dict[str, Origin] = {}
        #: Ops that join several values, with the origins of those.
        self.joins: list[tuple[Node, tuple[Origin, ...]]] = []
        for node in view.calls():
            if view.is_dq(node):
                qparams = view.qparams(node)
                if qparams is not None and qparams.usable:
                    self.of[node.name] = Origin(node, qparams)
            elif carries_codes(node):
                self._pass_through(view, node)

    def _pass_through(self, view: View, node: Node) -> None:
        inputs = code_inputs(view, node)
        origins = tuple([self.of[item.name] for item in inputs if item.name in self.of])
        if not origins or len(origins) != len(inputs):
            return  # an input that is not quantized is another rule's
        if len(origins) > 1:
            self.joins.append((node, origins))
        moves = node.kind in MOVES_ZERO_POINT or any(origin.moves_zero_point for origin in origins)
        first = origins[0]
        self.of[node.name] = first if moves == first.moves_zero_point else Origin(first.dq, first.qparams, moves)


@once_per_view
def origins_of(view: View) -> Origins:
    """The origins of a view, computed once: several rules ask for them."""
    return Origins(view)


def same_codes(one: QParams, other: QParams, *, any_zero_point: bool = False) -> bool:
    """Whether requantizing from ``one`` to ``other`` leaves every code of ``one`` as it is.

    That is the arithmetic condition: scales that differ by less than half a step over the whole code range (two
    observers that saw the same values) do no harm.
    """
    if one is other:
        return True
    if one.dtype != other.dtype:
        return False
    if one.zero_point != other.zero_point and not any_zero_point:
        return False
    reach = max(abs(one.qmin - one.zero_point), abs(one.qmax - one.zero_point))
    return reach * abs(one.scale / other.scale - 1.0) < 0.5


def members_agree(members: Sequence[Origin]) -> bool:
    """Whether values that are joined into one tensor are codes of the same qparams."""
    first = members[0]
    return all(same_codes(first.qparams, other.qparams) for other in members[1:])


def largest_change(one: QParams, other: QParams) -> int:
    """The most that requantizing from ``one`` to ``other`` changes any code, in steps of ``other``.

    Requantizing minus identity is monotone up to where it saturates and after it, so its extremes lie at the ends of
    the code range and at the two saturation points.
    """
    ratio = one.scale / other.scale
    candidates = {one.qmin, one.qmax}
    for limit in (other.qmin, other.qmax) if ratio else ():  # float64 holds no quotient that is smaller still
        crossing = one.zero_point + (limit - other.zero_point) / ratio
        if abs(crossing) < 2**40:
            candidates |= {math.floor(crossing) + offset for offset in (-1, 0, 1, 2)}
    codes = [code for code in candidates if one.qmin <= code <= one.qmax]
    return max((abs(other.quantize(one.dequantize(code)) - code) for code in codes), default=0)


#: Data movement after a value is followed this far for what computes with it.
_LONGEST_WAY = 32


def is_computed_with(view: View, node: Node) -> bool:
    """Whether an annotated op that computes reads the quantized result of ``node``, after data movement or not."""
    pending = [node]
    for _ in range(_LONGEST_WAY):
        if not pending:
            return False
        for q in view.out_q(pending.pop()):
            for reader in (reader for _, reader in view.code_readers(q) if reader.annotated):
                if not reader.info.has(Trait.TRANSPARENT) or reader.info.has(Trait.LIST_INPUT):
                    return True
                pending.append(reader)
    return False


def chain_after(view: View, node: Node, origins: Origins, done: set[str]) -> list[Node]:
    """``node`` and the value-transparent ops between it and the DQs whose codes it carries.

    A part of an op with several outputs brings the other parts along: the backend takes the op and its
    getitems together or not at all. Nodes in ``done`` end the walk and are added to it, so that all walks together
    visit a node once.
    """
    chain: list[Node] = []
    pending = [node]
    while pending:
        item = pending.pop()
        if item.name in done or not carries_codes(item) or item.name not in origins.of:
            continue
        done.add(item.name)
        chain.append(item)
        pending += code_inputs(view, item)
        if item.info.has(Trait.MULTI_OUTPUT):
            pending += view.users(item)
    return chain
