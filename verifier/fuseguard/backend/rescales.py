"""The RESCALEs that the backend puts around an operator, and what TOSA demands of them.

Source: ``InsertRescalePass``, ``InsertRescaleInt32Pass`` and ``RewriteConvPass`` of ExecuTorch 1.2.0, 1.3.1, 1.4.1 and
1.5.1.

Rules that depend on it: QP302.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from fuseguard.backend.int32_rescales import AT_SMALLEST_SCALE, COMPARISONS, SUMS, TARGETS, scale_of_result
from fuseguard.backend.quantized_values import OBSERVER_FLOORS
from fuseguard.ir import Node, QParams, View
from fuseguard.ir.ops import CASTS
from fuseguard.ir.value import Value


class Rescale(Value, frozen=True):
    """A RESCALE that the backend will emit: its factor, the largest value it meets, the multiplier's width.

    32 bits are for values of int32, 16 for those of int48.
    """

    what: str
    factor: float
    reach: float
    bits: int = 32

    def fault(self) -> str:
        """``shift`` if the shift cannot be encoded, ``overflow`` if a value exceeds what it allows, else ""."""
        if not math.isfinite(self.factor) or self.factor <= 0:
            return ""  # QP304's
        offset = self.bits - 1
        mantissa, exponent = math.frexp(self.factor)
        if round(mantissa * 2**offset) == 2**offset:
            exponent += 1
        shift = offset - exponent
        if shift < 2:
            return "shift"
        if self.bits == 16:
            # TOSA apply_scale_16: REQUIRE(result >= minimum_s<i32_t> && result <= maximum_s<i32_t>)
            return "overflow" if self.reach * self.factor >= 2.0**31 else ""
        # TOSA apply_scale_32: REQUIRE(value >= (-1 << (shift - 1)) && value < (1 << (shift - 1)))
        return "overflow" if self.reach >= 2.0 ** min(shift - 1, 1023) else ""  # a float has no larger power


#: Kinds of the nodes that RESCALEs are put around.
RESCALED = ("dequantize", "conv", "linear", *TARGETS)


def rescales_around(view: View, node: Node) -> Iterator[Rescale]:
    """What InsertRescalePass and RewriteConvPass put around ``node``."""
    if view.is_dq(node):
        quantizers = quantizers_of(view, node)
        data = _plain(view.qparams(node)) if quantizers else None
        for q in quantizers:
            out = _plain(view.qparams(q))
            if data is not None and out is not None:
                yield Rescale(f"its codes for {q.name}", data.scale / out.scale, _reach(data))
        return
    if node.kind in ("conv", "linear"):
        yield from _anchor_rescales(view, node)
        return
    if node.kind not in TARGETS:
        return
    inputs = [_plain(view.in_qp(node, position)) for position in range(1 if node.kind in ("abs", "sum") else 2)]
    known = [qparams for qparams in inputs if qparams is not None]
    if len(known) != len(inputs):
        return
    out = _plain(view.out_qp(node))
    accumulator, reach = _accumulator(node, known)
    if node.kind == "sum":
        reach *= _summed(view, node)
    observed = out is not None and out.scale >= min(OBSERVER_FLOORS)
    if node.kind == "mul" and observed and any(_at_the_floor(view, node, position) for position in (0, 1)):
        reach = 0.0  # a collapsed constant (QP301) uses few of its codes
    if node.kind in AT_SMALLEST_SCALE:
        for qparams in known:
            yield Rescale("an input", qparams.scale / accumulator, _reach(qparams))
    if out is not None and node.kind not in COMPARISONS:
        yield Rescale("the result", accumulator / out.scale, reach)


def quantizers_of(view: View, dq: Node) -> list[Node]:
    """The Qs that read a DQ, also after a cast to the dtype that its values have, which the edge dialect leaves out."""
    found = list(view.out_q(dq))
    for user in view.users(dq):
        if user.operator in CASTS and user.meta is not None and dq.meta is not None:
            found += view.out_q(user) if user.meta.dtype == dq.meta.dtype else ()
    return found


def _summed(view: View, node: Node) -> float:
    """How many values each sum is of."""
    data = view.producer(node)
    if data is None or data.meta is None or node.meta is None:
        return 1.0
    before, after = (math.prod(size or 1 for size in meta.shape) for meta in (data.meta, node.meta))
    return before / max(after, 1)


def _at_the_floor(view: View, node: Node, position: int) -> bool:
    """Whether an operand is a stored constant at the smallest scale that an observer gives."""
    stored, qparams = view.in_dq(node, position), view.in_qp(node, position)
    source = view.producer(stored) if stored is not None else None
    constant = source is not None and source.op != "call" and source.constant
    return constant and qparams is not None and any(scale in OBSERVER_FLOORS for scale in qparams.scales)


def _accumulator(node: Node, inputs: list[QParams]) -> tuple[float, float]:
    """Scale of the int32 accumulator and its largest value."""
    scale = scale_of_result(node, inputs)
    if node.kind == "mul":
        return scale, math.prod(_reach(qparams) for qparams in inputs)
    values = [_reach(qparams) * qparams.scale for qparams in inputs]
    return scale, (sum(values) if node.kind in SUMS else max(values)) / scale


def _anchor_rescales(view: View, anchor: Node) -> Iterator[Rescale]:
    """The output rescale of an anchor, whose accumulator reaches what codes at their ends add up to."""
    data, weight = _plain(view.in_qp(anchor, 0)), view.in_qp(anchor, 1)
    out = _plain(view.out_qp(view.output_owner(anchor)))
    if data is None or out is None or weight is None or not weight.scales:
        return
    factor = data.scale * max(weight.scales) / out.scale
    stored = view.in_dq(anchor, 1)
    shape = stored.meta.shape if stored is not None and stored.meta is not None else ()
    products = math.prod(size or 1 for size in shape[1:])
    reach = products * _reach(data) * max(abs(weight.qmin), abs(weight.qmax))
    yield Rescale("the result", factor, reach, 16 if data.dtype == "int16" else 32)


def _plain(qparams: QParams | None) -> QParams | None:
    """The qparams if they are usable, else None (QP304 reports those that are not)."""
    return qparams if qparams is not None and qparams.usable else None


def _reach(qparams: QParams) -> float:
    """The largest distance of a code from the zero point; 0 for int32, of whose codes values use but a few."""
    if qparams.dtype == "int32":
        return 0.0
    return float(max(abs(qparams.qmin - qparams.zero_point), abs(qparams.qmax - qparams.zero_point)))
