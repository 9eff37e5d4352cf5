"""QP301: a constant operand so small that the observer's smallest scale leaves it only a few codes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fuseguard.backend.quantized_values import OBSERVER_FLOORS
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rule
from fuseguard.ir import Node, View
from fuseguard.target import Target
from fuseguard_rules.examples.qparams import qp301 as examples

#: With eight codes or more the constant is off by at most a sixteenth.
_FEW_CODES = 8.0
#: Below this the constant happens to lie on the grid (1/16384 is four codes of 2**-16).
_NEGLIGIBLE = 0.01


@dataclass(frozen=True, slots=True)
class _Constant:
    """A constant operand: its real value, the qparams' scale, and the node that reads it."""

    value: float
    scale: float
    reader: Node
    label: str

    @property
    def codes(self) -> float:
        return abs(self.value) / self.scale

    @property
    def stored(self) -> float:
        """Its absolute value after quantization."""
        return round(self.codes) * self.scale

    @property
    def error(self) -> float:
        return abs(self.stored - abs(self.value)) / abs(self.value)


class CollapsedConstant(Rule):
    code = "QP301"
    name = "collapsed-constant"
    summary = "A constant operand is smaller than a few steps of its own scale, which an observer may not shrink."
    why = (
        "Arm's observers do not choose a scale below 2**-16 (2**-12 in A16W8), so a tiny constant keeps only a few "
        "codes, or none. From 1.3 on DecomposeMeanDimPass turns mean into sum and a multiplication by 1/N before "
        "quantization, and 1/N over a large area is such a constant. The fault is in the quantized program: the "
        "eager program and the delegate agree, and both are off."
    )
    remedy = (
        "Write torch.nn.functional.adaptive_avg_pool2d(x, 1) in place of x.mean((2, 3)): it stays an average pool. "
        "For other constants scale in two steps, give the configuration a smaller eps (eps=2**-30 in "
        "get_symmetric_quantization_config from 1.3 on, epsilon in the A16W8 one), or leave the operation in float."
    )
    scope = "node"
    message = (
        "{reader} reads a constant of {value:.4g} through a scale of {scale:.4g}: it becomes {stored:.4g}, "
        "a relative error of {percent:.1f} %"
    )
    effects = EffectsTable(
        [
            EffectRow("few-codes", "*", "*", Effect.QUALITY, reference="observer eps; DecomposeMeanDimPass, #19242"),
            EffectRow("zero", "*", "*", Effect.WRONG, reference="observer eps; DecomposeMeanDimPass, #19242"),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("executorch #19242",)
    refused = False
    in_program = True

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node in view.calls():
            constant = _filled_constant(view, node) if view.is_q(node) else _factor(view, node)
            if constant is None or constant.codes >= _FEW_CODES or constant.error < _NEGLIGIBLE:
                continue
            yield self.finding(
                view,
                target,
                (constant.reader,),
                case="zero" if constant.stored == 0 else "few-codes",
                reader=constant.reader.name,
                value=constant.value,
                scale=constant.scale,
                stored=constant.stored,
                percent=100 * constant.error,
            )


def _filled_constant(view: View, q: Node) -> _Constant | None:
    """A literal in the graph (full, scalar_tensor) that is quantized at the observer's smallest scale."""
    producer, qparams = view.owner(q), view.qparams(q)
    if producer is None or producer.kind != "full" or qparams is None or qparams.per_channel:
        return None
    if qparams.scale not in OBSERVER_FLOORS:
        return None
    position = 0 if "scalar_tensor" in producer.target else 1
    value = producer.arg(position, "fill_value" if position else "s")
    if not producer.target.startswith(("aten.full", "aten.scalar_tensor")) or not isinstance(value, int | float):
        return None
    constant = _Constant(float(value), qparams.scale, producer, producer.name)
    return constant if 0 < abs(value) < 1 and not _is_below_rounding(view, q, constant) else None


def _is_below_rounding(view: View, q: Node, constant: _Constant) -> bool:
    """Whether the constant is only added to what is rounded to larger steps: the epsilon of a batch_norm."""
    readers = [reader for _, reader in view.code_readers(q)]
    lost = abs(constant.stored - abs(constant.value))
    for reader in readers:
        results = [view.qparams(item) for item in view.out_q(reader)] if reader.kind in ("add", "sub") else []
        if not results or any(out is None or out.per_channel or lost > out.scale / 2 for out in results):
            return False
    return bool(readers)


def _factor(view: View, node: Node) -> _Constant | None:
    """A single stored number that a quantized tensor is multiplied by.

    No weight is read. Multiplying by a number scales the range of the tensor by it, so the two observed scales
    state its value; where the product shares a wider range with other tensors they only bound it from above.
    """
    if node.kind != "mul" or len(node.args) < 2:
        return None
    out = view.out_qp(node)
    for position in (0, 1):
        stored, data = view.in_dq(node, position), view.in_qp(node, 1 - position)
        if stored is None or data is None or out is None:
            continue
        source, qparams = view.producer(stored), view.qparams(stored)
        if source is None or source.op == "call" or source.meta is None or qparams is None or qparams.per_channel:
            continue
        if any(size != 1 for size in source.meta.shape) or qparams.scale not in OBSERVER_FLOORS:
            continue
        if out.scale < min(OBSERVER_FLOORS):
            continue  # written by hand: no observer gives it, and it tells nothing of the factor
        if data.per_channel or out.per_channel or data.scale <= 0 or (out.qmin, out.qmax) != (data.qmin, data.qmax):
            continue
        return _Constant(out.scale / data.scale, qparams.scale, node, source.name)
    return None
